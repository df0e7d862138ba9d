#!/usr/bin/env bats
# The committed completions, in the shells themselves.

load common

teardown() {
    tmux -L "ipcbox-$$" kill-server 2>/dev/null || true
}

# bash_complete WORD…: what bash offers for the last word, one a line.
bash_complete() {
    bash -c '
        source "$SRC/completions/ipcbox.bash"
        COMP_WORDS=("$@")
        COMP_CWORD=$(($# - 1))
        f=$(complete -p "$1" | sed "s/.*-F \([^ ]*\).*/\1/")
        "$f"
        printf "%s\n" "${COMPREPLY[@]}"' bash "$@"
}

@test "bash: applets, commands, options and their values" {
    expect 0 bash_complete ipcbox ''
    has "$out" install run mqpeek
    expect 0 bash_complete ipcbox inst
    is "$out" install
    expect 0 bash_complete mqpeek pe
    is "$out" peek
    expect 0 bash_complete ipcbox mqpeek pe
    is "$out" peek
    expect 0 bash_complete mqpeek peek --he
    is "$out" "$(printf '%s\n' --help --hex)"
    expect 0 bash_complete mqpeek peek --color ''
    is "$out" "$(printf '%s\n' auto always never)"
    expect 0 bash_complete ipcbox install /us
    is "$out" /usr
}

# A queue is offered only where /dev/mqueue shows it: in a mount namespace of the test's own.
@test "bash: queues" {
    expect 0 unshare -im --propagation private bash -c '
        mkdir -p /dev/mqueue && mount -t mqueue none /dev/mqueue || exit 99
        "$HELPERS/mqmake" /jobs 2 8
        "$HELPERS/mqmake" /other 2 8
        source "$SRC/completions/ipcbox.bash"
        COMP_WORDS=(mqpeek /jo) COMP_CWORD=1
        _ipcbox_mqpeek
        echo "${COMPREPLY[@]}"
        COMP_WORDS=(ipcbox mqpeek peek /) COMP_CWORD=3
        _ipcbox
        echo "${COMPREPLY[@]}"'
    is "$out" "$(printf '%s\n' /jobs '/jobs /other')"
}

@test "fish: commands with what they do, options of one command only" {
    cp "$SRC/completions/ipcbox.fish" "$BATS_TEST_TMPDIR/"
    cd "$BATS_TEST_TMPDIR"
    export HOME=$BATS_TEST_TMPDIR
    expect 0 fish -c 'source ipcbox.fish; complete -C "mqpeek pee"'
    is "$(cut -f 1 <<<"$out")" peek
    expect 0 fish -c 'source ipcbox.fish; complete -C "mqpeek peek --he"'
    is "$(cut -f 1 <<<"$out" | sort)" "$(printf '%s\n' --help --hex)"
    expect 0 fish -c 'source ipcbox.fish; complete -C "ipcbox inst"'
    is "$(cut -f 1 <<<"$out")" install
}

@test "zsh: commands and options on a real command line" {
    session=ipcbox-$$
    zdot=$BATS_TEST_TMPDIR
    cat >"$zdot/.zshrc" <<E
PS1='> '
fpath=($SRC/completions \$fpath)
autoload -Uz compinit && compinit -u -d $zdot/dump
PS1='> '
fpath=($SRC/completions \$fpath)
autoload -Uz compinit && compinit -u -d $zdot/dump
E
    tmux -L "$session" new-session -d -x 100 -y 30 "env ZDOTDIR=$zdot zsh -i"
    shows() { tmux -L "$session" capture-pane -p | grep -q -e "$1"; }
    within 20 shows '^>'
    tmux -L "$session" send-keys 'mqpeek pe' Tab
    within 20 shows 'mqpeek peek'
    tmux -L "$session" send-keys ' --hex' Tab C-u 'ipcbox inst' Tab
    within 20 shows 'ipcbox install'
}
