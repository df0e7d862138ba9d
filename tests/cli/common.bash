# For every bats file: load common
#
# $IPCBOX is the binary under test, $HELPERS the folder of the test programs, $SRC the source tree.

IPCBOX=${IPCBOX:?the binary under test}
SRC=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
HELPERS=${IPCBOX_HELPERS:-$(dirname "$IPCBOX")/tests/helpers}
export IPCBOX SRC HELPERS LC_ALL=C.UTF-8
unset NO_COLOR COLUMNS

mqpeek() { "$IPCBOX" mqpeek "$@"; }
mqctl() { "$IPCBOX" mqctl "$@"; }
mqdump() { "$IPCBOX" mqdump "$@"; }
fdpeek() { "$IPCBOX" fdpeek "$@"; }
b1ctl() { "$IPCBOX" b1ctl "$@"; }
uringipc() { "$IPCBOX" uringipc "$@"; }
ipcbox() { "$IPCBOX" "$@"; }

# The leak checker of a sanitized build cannot work under ptrace.
strace() { ASAN_OPTIONS=${ASAN_OPTIONS-}:detect_leaks=0 command strace "$@"; }

# Its number is PROC_PID_INIT_INO of the kernel's include/linux/proc_ns.h.
initial_pid_namespace() { [ "$(stat -Lc %i /proc/self/ns/pid)" = 4026531836 ]; }

sanitized() { grep -q __asan_init "$IPCBOX"; }

# A name that no other test uses: unique ["jobs"] -> ipcbox-jobs-1234-5
unique() { echo "ipcbox-${1:-q}-$$-$BATS_TEST_NUMBER"; }

# expect STATUS COMMAND…: runs it; $out and $err hold what it wrote.
expect() {
    local want=$1 got=0
    shift
    "$@" >"$BATS_TEST_TMPDIR/out" 2>"$BATS_TEST_TMPDIR/err" || got=$?
    out=$(cat "$BATS_TEST_TMPDIR/out")
    err=$(cat "$BATS_TEST_TMPDIR/err")
    if [ "$got" != "$want" ]; then
        echo "$* ended with $got, not $want"
        echo "stdout: $out"
        echo "stderr: $err"
        return 1
    fi
}

# has TEXT PART…: every part stands in the text.
has() {
    local text=$1 part
    shift
    for part; do
        if [[ "$text" != *"$part"* ]]; then
            echo "\"$part\" is missing in:"
            echo "$text"
            return 1
        fi
    done
}

# is GOT WANT
is() {
    if [ "$1" != "$2" ]; then
        echo "got:  $1"
        echo "want: $2"
        return 1
    fi
}

# within SECONDS COMMAND…: repeats it until it succeeds.
within() {
    local end=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        if [ "$SECONDS" -ge "$end" ]; then
            echo "still failing: $*"
            return 1
        fi
        sleep 0.05
    done
}

# elsewhen COMMAND…: where the monotonic clock is a day ahead of the machine's
elsewhen() {
    [ -e /proc/self/ns/time ] || skip "the kernel has no time namespaces"
    unshare -T --monotonic 86400 --fork --kill-child "$@"
}

# lately SINCE TIME: the RFC 3339 time is between that moment, as $EPOCHREALTIME tells it, and now
lately() {
    # shellcheck disable=SC2016 # jq's
    jq -en --argjson from "$1" --argjson to "$EPOCHREALTIME" --arg t "$2" \
        '($t[:19] + "Z" | fromdateiso8601) + ("0" + $t[19:-1] | tonumber) | $from - 0.001 < . and . < $to'
}
