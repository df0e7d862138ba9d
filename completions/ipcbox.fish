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
complete -c ipcbox -s q -l quiet -d 'no notes on stderr'
complete -c ipcbox -s h -l help -d 'show this'
complete -c ipcbox -l version -d 'show the version'
complete -c ipcbox -s J -l json -d 'one JSON document'
complete -c ipcbox -l jsonl -d 'one JSON object a line'
complete -c ipcbox -s o -l output -x -d 'columns to show; +COLS adds to the default'
complete -c ipcbox -l noheadings -d 'rows only'
complete -c ipcbox -l color -x -a 'auto always never' -d 'colours'
