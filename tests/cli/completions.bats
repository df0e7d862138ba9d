#!/usr/bin/env bats
# The committed completions, in the three shells themselves, each on a terminal, with the TAB key.

load common

# Queues whose names a shell would act on, if it could. Each is told by its second character.
# shellcheck disable=SC2016 # nothing in them is to be expanded
hostile=('/a$(touch x)' '/b`touch x`' '/c'\''d"e' $'/e\nf' '/f g' '/g;touch x' '/h\i' '/i!!' '/j:k=l@m'
    '/k*?[a]{b,c}' $'/l\e[31m' '/m$HOME~' '/n&|<>()#' $'/o\xff\xfe' '/pä' '/q-~^%'
    '/r"' $'/s\'')

setup() {
    bin=$BATS_TEST_TMPDIR/bin
    mkdir "$bin" "$BATS_TEST_TMPDIR/home" "$BATS_TEST_TMPDIR/work"
    ln -s "$IPCBOX" "$bin/ipcbox"
    export got=$BATS_TEST_TMPDIR/got
    # What a completed command is called with.
    for name in mqpeek mqdump uringipc b1ctl; do
        printf '%s\n' '#!/bin/sh' "printf '%s\\0' $name \"\$@\" >\"\$got.new\"; mv \"\$got.new\" \"\$got\"" >"$bin/$name"
        chmod +x "$bin/$name"
    done
}

teardown() {
    tmux -L "ipcbox-$$" kill-server 2>/dev/null || true
}

# shell_start NAME QUEUE…: a shell on a terminal, where these queues and no others exist
shell_start() {
    local name=$1 home=$BATS_TEST_TMPDIR/home start
    shift
    case $name in
    bash)
        printf '%s\n' "PS1='> '" "source $SRC/completions/ipcbox.bash" >"$home/.bashrc"
        start='bash --noprofile -i'
        ;;
    zsh)
        printf '%s\n' "PS1='> '" "fpath=($SRC/completions \$fpath)" 'autoload -Uz compinit' \
            "compinit -u -d $home/dump" >"$home/.zshrc"
        start='zsh -i'
        ;;
    fish)
        mkdir -p "$home/.config/fish/completions"
        for applet in ipcbox mqpeek mqdump uringipc b1ctl; do
            ln -s "$SRC/completions/ipcbox.fish" "$home/.config/fish/completions/$applet.fish"
        done
        printf '%s\n' 'function fish_prompt; echo "> "; end' 'set -g fish_greeting' \
            'set -g fish_autosuggestion_enabled 0' >"$home/.config/fish/config.fish"
        start='fish -i'
        ;;
    esac
    cd "$BATS_TEST_TMPDIR/work"
    # shellcheck disable=SC2016 # the inner shell's
    unshare -i bash -c '
        for q in "${@:3}"; do "$HELPERS/mqmake" "$q" 2 8 || exit; done
        exec tmux -L "$1" -f /dev/null new-session -d -x 100 -y 40 "$2"' \
        bash "ipcbox-$$" "env -u INPUTRC HOME=$home ZDOTDIR=$home PATH=$bin:$PATH $start" "$@"
    within 30 shows '^>'
}

shows() { tmux -L "ipcbox-$$" capture-pane -p | grep -q -e "$1"; }
keys() { tmux -L "ipcbox-$$" send-keys "$@"; }

# completes TYPED WORD…: TYPED and TAB, and the command that it has become is called with these words
completes() {
    local typed=$1
    shift
    rm -f "$got"
    keys -l -- "$typed"
    keys Tab
    sleep 0.3 # the shell reads the keys after it only when it has completed
    keys Enter
    within 20 test -e "$got" || { echo "typed: $typed"; tmux -L "ipcbox-$$" capture-pane -p; return 1; }
    printf '%s\0' "$@" | cmp - "$got" || {
        echo "$typed became $(tr '\0' ' ' <"$got" | cat -A)"
        return 1
    }
}

completes_commands() {
    completes 'mqpeek fol' mqpeek follow
    completes 'mqdump rest' mqdump restore
    completes 'uringipc moni' uringipc monitor
    completes 'b1ctl gra' b1ctl graph
    completes 'mqpeek peek --he' mqpeek peek --he
    completes 'mqpeek peek --hex --no' mqpeek peek --hex --noheadings
    completes 'mqpeek peek --color al' mqpeek peek --color always
    completes 'mqpeek peek --color=al' mqpeek peek --color=always
    completes 'mqpeek list --backend tra' mqpeek list --backend tracepoint
    completes 'mqpeek list -o name,send' mqpeek list -o name,senders
    completes 'mqdump save -O some' mqdump save -O some-file
    # What the words mean does not change when an option stands before the verb.
    completes 'uringipc -f recv --li' uringipc -f recv --lines
}

# Pressing TAB there runs nothing, and each name comes out whole.
completes_hostile() {
    local q
    for q in "${hostile[@]}"; do
        completes "mqpeek peek ${q:0:2}" mqpeek peek "$q"
    done
    # The words before are other people's text, too.
    completes 'mqpeek peek "$(echo 42)" /a' mqpeek peek 42 "${hostile[0]}"
    keys -l -- 'mqpeek peek "$(touch x)" `touch x` ${x:=$(touch x)} /'
    keys Tab Tab
    sleep 1
    [ -z "$(ls)" ]
}

@test "bash: commands, options and their arguments" {
    shell_start bash
    touch some-file
    completes_commands
}

@test "zsh: commands, options and their arguments" {
    shell_start zsh
    touch some-file
    completes_commands
}

@test "fish: commands, options and their arguments" {
    shell_start fish
    touch some-file
    completes_commands
}

@test "bash: nothing of a queue's name is expanded" {
    shell_start bash "${hostile[@]}"
    completes_hostile
}

@test "zsh: nothing of a queue's name is expanded" {
    shell_start zsh "${hostile[@]}"
    completes_hostile
}

@test "fish: nothing of a queue's name is expanded" {
    shell_start fish "${hostile[@]}"
    completes_hostile
}

@test "bash: names within quotes" {
    shell_start bash "${hostile[@]}"
    for q in "${hostile[@]}"; do
        completes "mqpeek peek '${q:0:2}" mqpeek peek "$q"
        completes "mqpeek peek \"${q:0:2}" mqpeek peek "$q"
    done
    [ -z "$(ls)" ]
}
