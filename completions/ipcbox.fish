# fish completion for ipcbox and its applets

function __ipcbox_complete
    set -l token (commandline -ct | string collect)
    set -l found (command ipcbox complete --shell fish -- \
        (commandline -opc) "$token" 2>/dev/null | string split0)
    switch "$found[1]"
        case file
            __fish_complete_path $token
        case dir
            __fish_complete_directories $token
        case command
            __fish_complete_command
        case '*'
            set -q found[2]; and string join0 -- $found[2..] | string split0
    end
end

for name in b1ctl fdpeek ipcbox mqctl mqdump mqpeek uringipc
    complete -c $name -f -a '(__ipcbox_complete)'
end
