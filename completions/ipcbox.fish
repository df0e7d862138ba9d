# fish completion for ipcbox and its applets

function __ipcbox_queues
    for q in /dev/mqueue/*
        echo /(basename $q)
    end
end

# Without an argument: no command word yet. With one: that is the command word.
function __ipcbox_verb
    set -l words (commandline -opc)[2..-1]
    for w in $words
        switch $w
            case '-*'
            case '*'
                test (count $argv) -gt 0; and test $w = $argv[1]
                return
        end
    end
    test (count $argv) -eq 0
end

complete -c ipcbox -f
complete -c ipcbox -n '__ipcbox_verb' -a install -d 'make a link for each applet in DIR'
complete -c ipcbox -n '__ipcbox_verb install' -F
complete -c ipcbox -n '__ipcbox_verb' -a run -d 'run a command as on a kernel with the proposed interfaces'
complete -c ipcbox -n '__ipcbox_verb run' -F
complete -c ipcbox -n '__ipcbox_verb run' -l only -x -d 'emulate only these: mq'
complete -c ipcbox -n '__ipcbox_verb run' -l mq-syscall -x -d 'number of mq_timedreceive2'
complete -c ipcbox -n '__ipcbox_verb run' -l allow-drain -d 'where nothing better works, peek by receiving and sending again'
complete -c ipcbox -n '__ipcbox_verb run' -s v -l verbose -d 'say what is emulated'
complete -c ipcbox -s q -l quiet -d 'no notes on stderr'
complete -c ipcbox -s h -l help -d 'show this'
complete -c ipcbox -l version -d 'show the version'
complete -c ipcbox -s J -l json -d 'one JSON document'
complete -c ipcbox -l jsonl -d 'one JSON object a line'
complete -c ipcbox -s o -l output -x -d 'columns to show; +COLS adds to the default'
complete -c ipcbox -l noheadings -d 'rows only'
complete -c ipcbox -l color -x -a 'auto always never' -d 'colours'

complete -c mqdump -f
complete -c mqdump -n '__ipcbox_verb' -a save -d 'save queues and their messages'
complete -c mqdump -n '__ipcbox_verb save' -a '(__ipcbox_queues)'
complete -c mqdump -n '__ipcbox_verb save' -s O -l output-file -r -d 'write there, whole or not at all, instead of to standard output'
complete -c mqdump -n '__ipcbox_verb save' -s a -l all -d 'all queues'
complete -c mqdump -n '__ipcbox_verb save' -s A -l all-namespaces -d 'all queues of all IPC namespaces'
complete -c mqdump -n '__ipcbox_verb save' -l pid -x -a '(__fish_complete_pids)' -d 'queues that a process has open'
complete -c mqdump -n '__ipcbox_verb save' -l force -d 'let --backend drain take a queue that others use'
complete -c mqdump -n '__ipcbox_verb' -a restore -d 'make the queues of a dump, all or none'
complete -c mqdump -n '__ipcbox_verb restore' -F
complete -c mqdump -n '__ipcbox_verb restore' -l rename -x -d 'give a queue another name'
complete -c mqdump -n '__ipcbox_verb restore' -l replace -d 'save queues that exist, and make them anew'
complete -c mqdump -n '__ipcbox_verb restore' -l append -d 'send the messages to queues that exist, behind those they have'
complete -c mqdump -n '__ipcbox_verb restore' -l dry-run -d 'check everything, say what would be done'
complete -c mqdump -n '__ipcbox_verb restore' -l partial -d 'take what is there of a truncated dump'
complete -c mqdump -n '__ipcbox_verb restore' -l namespace -x -d 'only queues that were in IPC namespace N'
complete -c mqdump -n '__ipcbox_verb restore' -l timeout -x -d 'how long --append waits for room (10)'
complete -c mqdump -n '__ipcbox_verb restore' -l recover -d 'only finish or undo restores that were killed'
complete -c mqdump -n '__ipcbox_verb' -a show -d 'show what is in a dump'
complete -c mqdump -n '__ipcbox_verb show' -F
complete -c mqdump -n '__ipcbox_verb show' -l messages -d 'each message instead of each queue'
complete -c mqdump -n '__ipcbox_verb' -a verify -d 'check that dumps are whole'
complete -c mqdump -n '__ipcbox_verb verify' -F
complete -c mqdump -n '__ipcbox_verb' -a seal -d 'make an edited dump whole again'
complete -c mqdump -n '__ipcbox_verb seal' -F
complete -c mqdump -n '__ipcbox_verb seal' -s O -l output-file -r -d 'write there, whole or not at all; it may be the input'
complete -c mqdump -n '__ipcbox_verb' -a criu -d 'checkpoint and restore processes with queues'
complete -c mqdump -n '__ipcbox_verb criu' -s D -l images-dir -r -d 'restore: where the images are (the current directory)'
complete -c mqdump -n '__ipcbox_verb criu' -l replace -d 'restore: save queues that exist and differ, and make them anew'
complete -c mqdump -n '__ipcbox_verb criu' -l criu -r -d 'restore: what to run (criu)'
complete -c mqdump -n '__ipcbox_verb' -a criu -d 'checkpoint and restore processes with queues'
complete -c mqdump -n '__ipcbox_verb criu' -s D -l images-dir -r -d 'restore: where the images are (the current directory)'
complete -c mqdump -n '__ipcbox_verb criu' -l replace -d 'restore: save queues that exist and differ, and make them anew'
complete -c mqdump -n '__ipcbox_verb criu' -l criu -r -d 'restore: what to run (criu)'
complete -c mqdump -s q -l quiet -d 'no notes on stderr'
complete -c mqdump -s h -l help -d 'show this'
complete -c mqdump -l version -d 'show the version'
complete -c mqdump -s J -l json -d 'one JSON document'
complete -c mqdump -l jsonl -d 'one JSON object a line'
complete -c mqdump -s o -l output -x -d 'columns to show; +COLS adds to the default'
complete -c mqdump -l noheadings -d 'rows only'
complete -c mqdump -l color -x -a 'auto always never' -d 'colours'
complete -c mqdump -l backend -x -d 'use this backend and no other'
complete -c mqdump -l max-snapshot -x -d 'memory for one queue'\''s messages; a larger queue is read in windows (64M)'
complete -c mqdump -l mq-syscall -x -d 'number of mq_timedreceive2 on a patched kernel (548)'

complete -c mqpeek -f
complete -c mqpeek -n '__ipcbox_verb' -a list -d 'list queues, with who holds them and who is blocked'
complete -c mqpeek -n '__ipcbox_verb list' -s A -l all-namespaces -d 'queues of every IPC namespace that a process is in'
complete -c mqpeek -n '__ipcbox_verb list' -s p -l pid -x -a '(__fish_complete_pids)' -d 'only queues that this process has open'
complete -c mqpeek -n '__ipcbox_verb list' -l orphans -d 'only queues that nobody has open'
complete -c mqpeek -n '__ipcbox_verb list' -l nonempty -d 'only queues with messages'
complete -c mqpeek -n '__ipcbox_verb list' -s s -l sort -x -d 'by this column: texts from a to z, numbers from the largest'
complete -c mqpeek -n '__ipcbox_verb' -a peek -d 'show the messages of queues, in receive order'
complete -c mqpeek -n '__ipcbox_verb peek' -a '(__ipcbox_queues)'
complete -c mqpeek -n '__ipcbox_verb peek' -s n -l count -x -d 'at most N messages'
complete -c mqpeek -n '__ipcbox_verb peek' -s i -l index -x -d 'only these; 0 is received next'
complete -c mqpeek -n '__ipcbox_verb peek' -s p -l priority -x -d 'only with these priorities'
complete -c mqpeek -n '__ipcbox_verb peek' -s m -l max-bytes -x -d 'cut each message'\''s content; 0: none at all'
complete -c mqpeek -n '__ipcbox_verb peek' -l hex -d 'content as hexdump -C shows it'
complete -c mqpeek -n '__ipcbox_verb peek' -l text -d 'content as text, whole, its line breaks kept'
complete -c mqpeek -n '__ipcbox_verb peek' -l raw -d 'the bytes as they are and nothing else, for pipes'
complete -c mqpeek -n '__ipcbox_verb peek' -l force -d 'let --backend drain take a queue that others use'
complete -c mqpeek -n '__ipcbox_verb' -a info -d 'holders, blocked threads, notification, cost'
complete -c mqpeek -n '__ipcbox_verb info' -a '(__ipcbox_queues)'
complete -c mqpeek -n '__ipcbox_verb' -a follow -d 'every send and receive as it happens'
complete -c mqpeek -n '__ipcbox_verb follow' -a '(__ipcbox_queues)'
complete -c mqpeek -n '__ipcbox_verb follow' -s a -l all -d 'every queue that may be read, also those created later'
complete -c mqpeek -n '__ipcbox_verb follow' -l send -d 'only what is sent'
complete -c mqpeek -n '__ipcbox_verb follow' -l recv -d 'only what is received'
complete -c mqpeek -n '__ipcbox_verb follow' -l pid -x -a '(__fish_complete_pids)' -d 'only calls of this process'
complete -c mqpeek -n '__ipcbox_verb follow' -s p -l priority -x -d 'only messages with these priorities'
complete -c mqpeek -n '__ipcbox_verb follow' -s N -l count -x -d 'end after COUNT messages sent or received'
complete -c mqpeek -n '__ipcbox_verb follow' -l timeout -x -d 'end after so long; with status 1 when -N has not been reached'
complete -c mqpeek -n '__ipcbox_verb follow' -s m -l max-bytes -x -d 'cut each message'\''s content; 0: none at all'
complete -c mqpeek -n '__ipcbox_verb' -a top -d 'watch all queues live: depth, rates, who is blocked'
complete -c mqpeek -n '__ipcbox_verb top' -s b -l batch -d 'write snapshots, also on a terminal; so it does by itself in a pipe'
complete -c mqpeek -n '__ipcbox_verb top' -s d -l delay -x -d 'time between two pictures or snapshots; default 1'
complete -c mqpeek -n '__ipcbox_verb top' -s N -l count -x -d 'end after COUNT snapshots'
complete -c mqpeek -n '__ipcbox_verb top' -l sort -x -a 'fill name depth in out blocked wait' -d 'the order of the queues'
complete -c mqpeek -n '__ipcbox_verb top' -s r -l reverse -d 'the other way round'
complete -c mqpeek -n '__ipcbox_verb top' -l filter -x -d 'only queues with TEXT in their name'
complete -c mqpeek -n '__ipcbox_verb top' -l rates -x -a 'auto counted sampled' -d 'count messages in the kernel, or guess from the depth; auto: count if possible'
complete -c mqpeek -n '__ipcbox_verb' -a limits -d 'why mq_open fails, in figures'
complete -c mqpeek -n '__ipcbox_verb limits' -l exact -d 'ask the kernel, through BPF, what is charged to you, instead of adding up'
complete -c mqpeek -n '__ipcbox_verb' -a metrics -d 'state of all queues as OpenMetrics text'
complete -c mqpeek -n '__ipcbox_verb metrics' -s A -l all-namespaces -d 'queues of every IPC namespace that a process is in, with a label that tells which'
complete -c mqpeek -n '__ipcbox_verb metrics' -s O -l output-file -r -d 'write to FILE, which appears whole or not at all'
complete -c mqpeek -n '__ipcbox_verb' -a recover -d 'put back what an interrupted drain took'
complete -c mqpeek -n '__ipcbox_verb recover' -a '(__ipcbox_queues)'
complete -c mqpeek -n '__ipcbox_verb recover' -l force -d 'although others use the queue, or it is another of that name'
complete -c mqpeek -n '__ipcbox_verb' -a '(__ipcbox_queues)'
complete -c mqpeek -s q -l quiet -d 'no notes on stderr'
complete -c mqpeek -s h -l help -d 'show this'
complete -c mqpeek -l version -d 'show the version'
complete -c mqpeek -s J -l json -d 'one JSON document'
complete -c mqpeek -l jsonl -d 'one JSON object a line'
complete -c mqpeek -s o -l output -x -d 'columns to show; +COLS adds to the default'
complete -c mqpeek -l noheadings -d 'rows only'
complete -c mqpeek -l color -x -a 'auto always never' -d 'colours'
complete -c mqpeek -l backend -x -d 'use this backend and no other'
complete -c mqpeek -l max-snapshot -x -d 'memory for one queue'\''s messages; a larger queue is read in windows (64M)'
complete -c mqpeek -l mq-syscall -x -d 'number of mq_timedreceive2 on a patched kernel (548)'
complete -c ipcbox -n '__ipcbox_verb' -a mqdump -d 'save and restore POSIX message queues'
complete -c ipcbox -n '__ipcbox_verb' -a mqpeek -d 'look into POSIX message queues without touching them'
