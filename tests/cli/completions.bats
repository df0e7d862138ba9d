#!/usr/bin/env bats
# The committed completions, in the three shells themselves, each on a terminal, with the TAB key.

load common

# Queues whose names a shell would act on, if it could. Each is told by its second character. bash offers files
# after a word with backquotes, even quoted ones: that one comes last.
# shellcheck disable=SC2016 # nothing in them is to be expanded
hostile=('/a$(touch x)' '/c'\''d"e' $'/e\nf' '/f g' '/g;touch x' '/h\i' '/i!!' '/j:k=l@m'
    '/k*?[a]{b,c}' $'/l\e[31m' '/m$HOME~' '/n&|<>()#' $'/o\xff\xfe' '/pä' '/q-~^%'
    '/r"' $'/s\'' '/b`touch x`')

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

# Writes a part of a command line, and TAB. A word that is unique gets a blank after it.
tab() {
    keys -l -- "$1"
    keys Tab
}

# called WORD…: the command line is entered, and these are the words of the command
called() {
    keys Enter
    within 30 test -e "$got" || { tmux -L "ipcbox-$$" capture-pane -p; return 1; }
    printf '%s\0' "$@" | cmp - "$got" || {
        tr '\0' '\n' <"$got" | cat -A
        return 1
    }
    rm "$got"
}

completes_commands() {
    tab 'mqpeek pee' && tab --tex && tab --no && tab '--color al' && tab --color=al && tab '--backend tra'
    called mqpeek peek --text --noheadings --color always --color=always --backend tracepoint
    tab 'mqpeek list -o name,own'
    called mqpeek list -o name,owner
    tab 'mqdump sav' && tab '-O some'
    called mqdump save -O some-file
    tab 'mqdump criu scr'
    called mqdump criu script
    # What the words mean does not change when an option stands before the verb.
    tab 'uringipc -f recv --li'
    called uringipc -f recv --lines
    tab 'b1ctl gra'
    called b1ctl graph
}

# Pressing TAB there runs nothing, and each name comes out whole, also after other people's text.
completes_hostile() {
    keys -l -- 'mqpeek peek "$(echo 42)" '
    for q in "${hostile[@]}"; do
        tab "${q:0:2}"
    done
    called mqpeek peek 42 "${hostile[@]}"
    keys -l -- 'mqpeek peek "$(touch x)" `touch x` ${x:=$(touch x)} /'
    keys Tab Tab
    keys C-u
    tab 'mqpeek inf'
    called mqpeek info
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
    for quote in "'" '"'; do
        keys -l -- 'mqpeek peek '
        for q in "${hostile[@]}"; do
            tab "$quote${q:0:2}"
        done
        called mqpeek peek "${hostile[@]}"
    done
    [ -z "$(ls)" ]
}
