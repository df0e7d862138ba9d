# For the suites of b1ctl: load bus
#
# A served bus at $bus, and one b1ctl in the background that watches it ($watch_pid).

bus_setup() {
    bus=$BATS_TEST_TMPDIR/bus
    note=$BATS_TEST_TMPDIR/note
    serve_pid=
    watch_pid=
    other_dir=
}

bus_teardown() {
    for pid in $watch_pid $serve_pid; do
        kill -CONT "$pid" 2>/dev/null || true
        kill "$pid" 2>/dev/null || true
        wait "$pid" || true
    done
    [ -z "$other_dir" ] || rm -rf "$other_dir"
}

serve() {
    "$IPCBOX" b1ctl -q serve "$@" "$bus" 3>&- &
    serve_pid=$!
    within 20 test -e "$bus"
}

# A bus like the RFC's kernel code.
serve_rfc() {
    "$HELPERS/rfcbus" "$bus" 3>&- &
    serve_pid=$!
    within 20 test -e "$bus"
}

serve_ends() {
    kill "$serve_pid"
    wait "$serve_pid"
    serve_pid=
}

run_script() { "$IPCBOX" b1ctl -q --device "$bus" -c "$1"; }

# What watches by BPF has begun.
attached() { kill -0 "$watch_pid" && grep -qs "anon_inode:bpf_link" <(readlink /proc/"$watch_pid"/fd/* 2>/dev/null); }

# watch_ends STATUS: asks it to end
watch_ends() {
    kill -TERM "$watch_pid" 2>/dev/null || true
    watch_ended "$1"
}

# watch_ended STATUS: it ends by itself
watch_ended() {
    local got=0
    wait "$watch_pid" || got=$?
    watch_pid=
    is "$got" "$1" || {
        cat "$note"
        return 1
    }
}

# More than the one who watches can keep while it is stopped: outrun MEGABYTES
outrun() {
    kill -STOP "$watch_pid"
    { echo 'peer a; node a.n'
        for _ in $(seq "$1"); do
            printf 'send a.n %s\nrecv a\n' "$(head -c 1000000 /dev/zero | tr '\0' x)"
        done
    } | "$IPCBOX" b1ctl -q --device "$bus" -J run - >/dev/null
    kill -CONT "$watch_pid"
}
