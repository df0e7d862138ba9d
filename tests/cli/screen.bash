# A real terminal for tests: tmux. For bats files: load screen
#
# Everything runs in the tmux server of this test, which screen_stop ends (in teardown).

screen_number=0
tm() { tmux -S "$BATS_TEST_TMPDIR/tmux$screen_number" -f /dev/null "$@"; }

# screen_start COLUMNS ROWS COMMAND: a shell that runs it and prints its status afterwards
screen_start() {
    local columns=$1 rows=$2
    shift 2
    tm new-session -d -x "$columns" -y "$rows" \
        "env -u TMUX $*; echo \"status=\$?\"; stty -a | grep -o -- '-\\?icanon\\|-\\?echo\\b' | tr '\\n' ' '; echo end; exec cat" \
        3>&-
}

# The next server has a socket of its own: this one may take its time to end.
screen_stop() {
    tm kill-server 2>/dev/null || true
    screen_number=$((screen_number + 1))
}

screen() { tm capture-pane -p; }

keys() { tm send-keys "$@"; }

# shows TEXT…: whether every part stands on the screen now
shows() {
    local now part
    now=$(screen)
    for part; do
        [[ "$now" == *"$part"* ]] || return 1
    done
}

# lacks TEXT: the screen does not show it
lacks() { ! shows "$1"; }

# see TEXT…: waits until every part is shown
see() {
    within 30 shows "$@" || {
        echo "the screen does not show: $*"
        screen
        return 1
    }
}
