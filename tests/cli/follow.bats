#!/usr/bin/env bats
# mqpeek follow: real processes that send, receive, block and end; what is shown is what they did.
bats_require_minimum_version 1.5.0
load common
load screen

# shellcheck disable=SC2154 # pid_NAME: see actor

setup() {
    q=$(unique follow)
    pids=()
}

teardown() {
    local pid
    screen_stop
    for pid in "${pids[@]}" ${follow_pid-}; do kill "$pid" 2>/dev/null || true; done
    "$HELPERS/mqmake" -u "/$q" 2>/dev/null || true
    [ -z "${other_dir-}" ] || rm -rf "$other_dir"
}

# follow OPTION…: in the background, until it has begun; its events go to $events
follow() {
    events=$BATS_TEST_TMPDIR/events
    note=$BATS_TEST_TMPDIR/note
    : >"$events"
    "$IPCBOX" mqpeek follow -J "$@" >"$events" 2>"$note" 3>&- &
    follow_pid=$!
    # Its programs are attached.
    within 60 begun
}

begun() { kill -0 "$follow_pid" && grep -qs "anon_inode:bpf_link" <(readlink /proc/"$follow_pid"/fd/* 2>/dev/null); }

# ended STATUS: waits for the follower; whatever it wrote is as the schema has it
ended() {
    local got=0
    wait "$follow_pid" || got=$?
    follow_pid=
    is "$got" "$1" || {
        cat "$note"
        return 1
    }
    [ ! -s "$events" ] || "$SRC/tests/schema/validate" --lines mqpeek-follow <"$events"
}

# actor NAME: a process that does what tell NAME … says
actor() {
    local fd
    mkfifo "$BATS_TEST_TMPDIR/$1.in"
    "$HELPERS/mqactor" "$1" "/$q" <"$BATS_TEST_TMPDIR/$1.in" >"$BATS_TEST_TMPDIR/$1.out" 3>&- &
    pids+=($!)
    exec {fd}>"$BATS_TEST_TMPDIR/$1.in"
    printf -v "fd_$1" %s "$fd"
    within 60 grep -q '^pid' "$BATS_TEST_TMPDIR/$1.out"
    printf -v "pid_$1" %s "$(sed -n 's/^pid //p' "$BATS_TEST_TMPDIR/$1.out")"
}

tell() {
    local fd=fd_$1
    echo "$2" >&"${!fd}"
}

# answers NAME COUNT: it has done so many things
answers() { [ "$(grep -vc '^pid' "$BATS_TEST_TMPDIR/$1.out")" -ge "$2" ]; }

# tells NAME LINE: and waits for the answer
tells() {
    local before
    before=$(grep -vc '^pid' "$BATS_TEST_TMPDIR/$1.out" || true)
    tell "$1" "$2"
    within 60 answers "$1" $((before + 1))
}

has_events() { [ "$(jq -sc "map(select($1)) | length" "$events")" -ge "$2" ]; }

# waiting NAME: it sleeps in its system call
waiting() {
    local pid=pid_$1
    # The first word is the number of the call; "running" is none.
    [[ "$(cut -d' ' -f1 /proc/"${!pid}"/syscall)" == [0-9]* ]] && [ "$(ps -o stat= -p "${!pid}" | cut -c1)" = S ]
}

@test "a producer, a slow consumer and a blocked third: all as they are" {
    "$HELPERS/mqmake" "/$q" 1 64
    actor producer
    actor consumer
    actor third
    idle=$(cut -d' ' -f1 "/proc/$pid_third/syscall")
    follow "/$q"
    tells producer "send 3 one"
    tell third "send 1 two" # the queue is full
    not_idle() { waiting third && [ "$(cut -d' ' -f1 "/proc/$pid_third/syscall")" != "$idle" ]; }
    within 60 not_idle
    # It has slept from before this until after that.
    slept=$EPOCHREALTIME
    sleep 0.2
    slept=$(awk -v a="$slept" -v b="$EPOCHREALTIME" 'BEGIN { print b - a }')
    tells consumer "recv"
    within 60 answers third 1
    tells consumer "recv-"
    within 60 has_events 'true' 4
    kill -TERM "$follow_pid"
    ended 0
    # Sent one, received one, sent two (blocked), received two; the middle two end together.
    want=$(jq -nc --argjson p "$pid_producer" --argjson c "$pid_consumer" --argjson t "$pid_third" --arg q "/$q" '
        [["send",$q,$p,$p,"producer",3,3,"one"], ["recv",$q,$c,$c,"consumer",3,3,"one"],
         ["send",$q,$t,$t,"third",1,3,"two"], ["recv",$q,$c,$c,"consumer",1,3,"two"]] | sort')
    # Where the kernel does not tell it, a receiver that does not ask hides the priority.
    is "$(jq -sc '[.[] | [.event,.queue,.pid,.tid,.comm,(.priority // 1),.length,.text]] | sort' "$events")" "$want"
    jq -se --argjson least "$slept" 'map(select(.comm == "third")) | .[0].blocked >= $least' "$events"
    jq -se 'map(select(.comm != "third")) | all(.blocked == 0)' "$events"
    jq -se 'map(select(.event == "send" and .comm == "producer")) | .[0].data_base64 == "b25l"' "$events"
    # Calls that end at the same moment may be told in either order, each with its time.
    jq -se 'map(.time) | .[0] < (.[1:3] | min) and (.[1:3] | max) < .[3]' "$events"
    has "$(cat "$note")" "4 events, 0 lost"
}

@test "follow: times are those of the wall clock, in a time namespace too" {
    "$HELPERS/mqmake" "/$q" 2 64
    actor one
    events=$BATS_TEST_TMPDIR/events
    elsewhen "$IPCBOX" mqpeek follow -J -N 1 "/$q" >"$events" 2>"$BATS_TEST_TMPDIR/note" 3>&- &
    pids+=($!)
    child() { follow_pid=$(pgrep -f "mqpeek follow -J -N 1 /$q" -n) && begun; }
    within 60 child
    before=$EPOCHREALTIME
    tells one "send 3 one"
    within 60 has_events 'true' 1
    lately "$before" "$(jq -r .time "$events")"
    follow_pid=
}

@test "--send, --recv, --pid, -p, -m and -N choose" {
    "$HELPERS/mqmake" "/$q" 8 64
    actor one
    actor two
    traffic() {
        tells one "send 1 a1234567890"
        tells two "send 5 b1234567890"
        tells one "recv"
        tells two "recv"
    }
    check() { # JQ-OF-EVENTS WANT OPTION…
        local filter=$1 want=$2
        shift 2
        follow "/$q" "$@"
        traffic
        kill -TERM "$follow_pid"
        ended 0
        is "$(jq -sc "$filter" "$events")" "$want"
    }
    check 'map([.event,.comm])' '[["send","one"],["send","two"]]' --send
    check 'map([.event,.comm,.priority])' '[["recv","one",5],["recv","two",1]]' --recv
    check 'map([.event,.comm])' '[["send","one"],["recv","one"]]' --pid "$pid_one"
    check 'map([.event,.priority])' '[["send",5],["recv",5]]' -p 5
    check 'map([.event,.priority])' '[["send",1],["recv",1]]' -p 0:4
    check 'map([.length,.data_base64])|unique' '[[11,"YTE="],[11,"YjE="]]' -m 2
    check 'map([.length,.data_base64])|unique' '[[11,""]]' -m 0
    # Where only system calls are seen, a receiver that does not ask hides the priority.
    follow "/$q" -p 1
    tells one "send 1 x"
    tells one "recv-"
    kill -TERM "$follow_pid"
    ended 0
    if grep -q "following with tracepoint" "$note"; then
        is "$(jq -sc 'map(.event)' "$events")" '["send"]'
        has "$(cat "$note")" "1 receives left out: their priority is not known"
    else
        is "$(jq -sc 'map(.event)' "$events")" '["send","recv"]'
    fi
    follow "/$q" -N 3
    traffic
    ended 0
    is "$(jq -sc 'map(.event)' "$events")" '["send","send","recv"]'
}

@test "--timeout: 1 when what was asked for did not come, else 0" {
    "$HELPERS/mqmake" "/$q" 8 64
    expect 1 mqpeek follow "/$q" -N 1 --timeout 0.3
    expect 0 mqpeek follow "/$q" --timeout 0.3
    expect 3 mqpeek follow "/$q-none" --timeout 0.3
    expect 0 mqpeek follow "/$q" "/$q" --timeout 0.1 # once
    expect 3 mqpeek follow "/$q" --pid 2147483647 --timeout 0.3
    has "$err" "there is no process 2147483647"
    expect 2 mqpeek follow
    expect 2 mqpeek follow --all "/$q"
    expect 2 mqpeek follow "/$q" --backend nonsense
}

@test "a thread is told from its process" {
    "$HELPERS/mqmake" "/$q" 8 64
    follow "/$q"
    "$HELPERS/mqthread" main worker "/$q" hello >"$BATS_TEST_TMPDIR/ids"
    read -r pid tid <"$BATS_TEST_TMPDIR/ids"
    within 60 has_events 'true' 1
    kill -TERM "$follow_pid"
    ended 0
    [ "$pid" != "$tid" ]
    is "$(jq -sc 'map(select(.event == "send") | [.pid,.tid,.comm,.text])' "$events")" "[[$pid,$tid,\"worker\",\"hello\"]]"
}

# Under run the call itself is answered by another process, which takes the message with a call of
# its own; that the caller's returns is seen in the caller.
@test "follow: a receive through mq_timedreceive2 is shown, a look through it is not" {
    "$HELPERS/mqmake" "/$q" 4 64 3:hello 2:more
    follow "/$q" --backend tracepoint
    expect 0 ipcbox run --only mq -- "$HELPERS/mqmake" -2 "/$q"
    is "$out" "3:hello"
    expect 0 ipcbox run --only mq -- "$HELPERS/mqmake" -r "/$q"
    is "$out" "3:hello"
    received() { grep -q '"comm":"mqmake"' "$events"; }
    within 30 received
    kill -TERM "$follow_pid"
    ended 0
    is "$(jq -sc 'map(select(.comm == "mqmake" and .event != "exit") | [.event,.priority,.length,.text])' "$events")" \
        '[["recv",3,5,"hello"]]'
}

@test "follow: a 32-bit caller is told of, and shown where that can be" {
    "$HELPERS/mqmake" "/$q" 8 64
    "$HELPERS/mqsend32" "/$q" 1 before || skip "this kernel has no 32-bit system calls"
    follow "/$q" --backend tracepoint
    pid=$("$HELPERS/mqsend32" "/$q" 2 unseen | sed -n 's/^pid //p')
    within 60 has_events '.event == "uncovered"' 1
    kill -TERM "$follow_pid"
    ended 0
    is "$(jq -sc 'map(select(.event != "exit")) | map([.event,.pid,.tid,.comm])' "$events")" \
        "[[\"uncovered\",$pid,$pid,\"mqsend32\"]]"
    jq -se '.[0] | keys == ["comm","event","pid","tid","time"]' "$events"
    has "$(cat "$note")" "1 calls of 32-bit programs are not shown" "0 events, 0 lost"
    follow "/$q"
    if grep -q "following with tracepoint" "$note"; then return; fi
    pid=$("$HELPERS/mqsend32" "/$q" 3 seen | sed -n 's/^pid //p')
    within 60 has_events '.event == "send"' 1
    kill -TERM "$follow_pid"
    ended 0
    is "$(jq -sc 'map(select(.event == "send")) | map([.pid,.priority,.text])' "$events")" "[[$pid,3,\"seen\"]]"
}

@test "on a narrow terminal no line is broken in two" {
    "$HELPERS/mqmake" "/$q" 8 64
    actor one
    screen_start 80 24 "$IPCBOX mqpeek follow /$q"
    sends() { tells one "send 5 hello-world-and-all" && tells one recv && shows "PRIORITY  CONTENT" "5  hello-worl"; }
    within 60 sends
    tell one "exit 3"
    # The kernel tells nobody in another pid namespace of processes that end.
    if initial_pid_namespace; then see "status 3"; fi
    "$HELPERS/mqmake" -u "/$q"
    see "unlink"
    keys C-c
    see "status=0"
    # After the time each line goes on; none begins with what was left of the one before.
    is "$(screen | sed -n '/^TIME/,/ events, /p' | grep -vE '^TIME|^[0-9:.]{15}  (send|recv|exit|unlink) |\^Cmqpeek: |^mqpeek: ')" ""
}

@test "long and binary messages come whole" {
    "$HELPERS/mqmake" "/$q" 2 8192
    actor one
    follow "/$q"
    long=$(head -c 6000 /dev/zero | tr '\0' x)
    tells one "send 0 $long"
    tells one "send 0 $(printf '\001\033[2J\377')"
    tells one "recv"
    tells one "recv"
    kill -TERM "$follow_pid"
    ended 0
    is "$(jq -sc 'map([.event, .length, (.text // "" | length)])' "$events")" \
        '[["send",6000,6000],["send",6,0],["recv",6000,6000],["recv",6,0]]'
    is "$(jq -sr '.[1].data_base64' "$events" | base64 -d | od -An -tx1 | tr -d ' \n')" 011b5b324aff
    # A terminal sees none of it raw.
    follow2=$BATS_TEST_TMPDIR/table
    "$IPCBOX" mqpeek follow "/$q" -N 1 >"$follow2" 2>/dev/null 3>&- &
    follow_pid=$!
    within 60 begun
    tells one "send 0 $(printf '\033[2J')"
    wait "$follow_pid"
    run ! grep -q "$(printf '\033')" "$follow2"
    grep -q '<1b 5b 32 4a>' "$follow2" || grep -q '\\x1b\[2J' "$follow2"
}

@test "processes that end, and how" {
    "$HELPERS/mqmake" "/$q" 8 64
    actor holder  # had it open before
    follow "/$q"
    initial_pid_namespace || skip "the kernel tells of processes that end only in the initial pid namespace"
    actor worker # comes later
    tells worker "send 0 hello"
    tell worker "exit 7"
    within 60 has_events '.event == "exit"' 1
    kill -KILL "$pid_holder"
    within 60 has_events '.event == "exit"' 2
    kill -TERM "$follow_pid"
    ended 0
    is "$(jq -sc 'map(select(.event == "exit") | [.queue,.pid,.comm,.exit_code,.signal])' "$events")" \
        "[[\"/$q\",$pid_worker,\"worker\",7,null],[\"/$q\",$pid_holder,\"holder\",null,9]]"
    # The message before the end that came after it.
    is "$(jq -sc 'map(.event)' "$events")" '["send","exit","exit"]'
}

@test "a queue that is unlinked and made again is followed on" {
    "$HELPERS/mqmake" "/$q" 8 64
    follow "/$q"
    if grep -q "created or unlinked are not shown" "$note"; then skip "may not watch names here"; fi
    "$HELPERS/mqmake" -u "/$q"
    within 60 has_events '.event == "unlink"' 1
    "$HELPERS/mqmake" "/$q" 8 64
    within 60 has_events '.event == "create"' 1
    actor one
    tells one "send 2 again"
    kill -TERM "$follow_pid"
    ended 0
    is "$(jq -sc 'map([.event,.queue,.text // null])' "$events")" \
        "[[\"unlink\",\"/$q\",null],[\"create\",\"/$q\",null],[\"send\",\"/$q\",\"again\"]]"
}

@test "--all: queues that come and go, and who held them" {
    follow --all
    initial_pid_namespace || skip "the kernel tells of processes that end only in the initial pid namespace"
    "$HELPERS/mqmake" "/$q" 4 64 1:one
    within 60 has_events ".queue == \"/$q\" and .event == \"exit\"" 1
    "$HELPERS/mqmake" -u "/$q"
    within 60 has_events ".queue == \"/$q\" and .event == \"unlink\"" 1
    kill -TERM "$follow_pid"
    ended 0
    # Also when the queue has been used before anybody heard of it.
    is "$(jq -sc "map(select(.queue == \"/$q\") | .event)" "$events")" '["create","send","exit","unlink"]'
    jq -se 'map(.time) | . == sort' "$events"
    jq -se "map(select(.queue == \"/$q\" and (.event == \"create\" or .event == \"unlink\"))) | all(keys == [\"event\",\"queue\",\"time\"])" "$events"
}

@test "--all: every queue, also those that come" {
    follow --all
    "$HELPERS/mqmake" "/$q" 4 64 1:one 2:two
    within 60 has_events ".queue == \"/$q\" and .event == \"send\"" 2
    kill -TERM "$follow_pid"
    ended 0
    is "$(jq -sc "map(select(.queue == \"/$q\" and .event == \"send\") | [.comm,.priority,.text])" "$events")" \
        '[["mqmake",1,"one"],["mqmake",2,"two"]]'
}

@test "each line comes as it happens; a reader that closes the pipe ends it" {
    "$HELPERS/mqmake" "/$q" 8 64
    actor one
    follow "/$q"
    tells one "send 0 first"
    within 60 has_events '.text == "first"' 1 # while it goes on
    kill -TERM "$follow_pid"
    ended 0
    (timeout 60 "$IPCBOX" mqpeek follow "/$q" -J 2>/dev/null | head -n 1 >"$events") 3>&- &
    reader=$!
    sends() { tells one "send 0 x" && tells one recv && ! kill -0 "$reader" 2>/dev/null; }
    within 60 sends
    is "$(wc -l <"$events")" 1
}

# seen_and_lost STATUS: the follower's account of the storm, which is all there was
seen_and_lost() {
    local seen lost
    read -r _ sent _ received _ wrong < <(tail -n 1 "$BATS_TEST_TMPDIR/storm")
    seen=$(grep -cE '"event":"(send|recv)"' "$events")
    lost=$(grep '"event":"lost"' "$events" | jq -s 'map(.count) | add // 0')
    echo "sent $sent received $received seen $seen lost $lost"
    is "$wrong" 0
    [ "$sent" -gt 0 ]
    is $((seen + lost)) $((sent + received))
    has "$(cat "$note")" "$seen events, $lost lost"
    if [ "$lost" = 0 ]; then is "$1" 0; else is "$1" 1; fi
}

# storm SENDERS RECEIVERS SECONDS: in an IPC namespace where nothing else happens
storm() {
    events=$BATS_TEST_TMPDIR/events
    note=$BATS_TEST_TMPDIR/note
    # shellcheck disable=SC2016 # for the inner shell
    timeout 200 unshare -i bash -c '
        "$IPCBOX" mqpeek follow --all -J >"$0" 2>"$1" 3>&- &
        follower=$!
        until readlink /proc/$follower/fd/* | grep -q anon_inode:bpf_link; do
            kill -0 $follower && sleep 0.05 || exit
        done
        "$HELPERS/storm" "$2" "$3" "$4" 10 64 >"$5" 3>&- &
        storm=$!
        sleep "$6"
        kill $storm
        wait $storm
        kill $follower
        wait $follower' "$events" "$note" "/$q" "$1" "$2" "$BATS_TEST_TMPDIR/storm" "$3"
}

@test "a storm of two senders: what was sent is what was seen and what was lost" {
    got=0
    storm 2 1 $((${IPCBOX_TEST_LONG:+29} + 1)) || got=$?
    seen_and_lost "$got"
}

@test "what the buffer holds is not lost, however late its reader is" {
    follow --all
    kill -STOP "$follow_pid"
    "$HELPERS/storm" "/$q" 1 1 10 64 40000 >"$BATS_TEST_TMPDIR/storm" 3>&-
    kill -CONT "$follow_pid"
    kill -TERM "$follow_pid"
    got=0
    wait "$follow_pid" || got=$?
    follow_pid=
    seen_and_lost "$got"
    is "$got" 0
}

@test "a reader that cannot keep up: the loss is counted and shown, and the status is 1" {
    "$HELPERS/mqmake" "/$q" 8 8192
    actor one
    follow "/$q"
    kill -STOP "$follow_pid"
    text=$(head -c 8000 /dev/zero | tr '\0' x)
    for _ in 1 2 3 4 5 6 7 8 9 10; do # 400 messages of 8000 bytes each time, sent and received
        for _ in {1..50}; do tell one "flood 8 $text"; tell one "drain"; done
        within 100 answers one 100
        : >"$BATS_TEST_TMPDIR/one.out"
    done
    kill -CONT "$follow_pid"
    kill -TERM "$follow_pid"
    ended 1
    seen=$(grep -cE '"event":"(send|recv)"' "$events")
    lost=$(grep '"event":"lost"' "$events" | jq -s 'map(.count) | add')
    is $((seen + lost)) 8000
    [ "$lost" -gt 0 ]
    jq -se 'map(select(.event == "lost")) | all(keys == ["count","event","time"])' <(grep '"event":"lost"' "$events")
}

@test "without root: only queues that may be read, whatever the binary is allowed" {
    other_dir=$(mktemp -d /tmp/ipcbox.XXXXXX)
    chmod 755 "$other_dir"
    cp "$IPCBOX" "$other_dir/ipcbox"
    setcap cap_bpf,cap_perfmon,cap_net_admin,cap_sys_admin,cap_dac_override,cap_sys_ptrace+ep "$other_dir/ipcbox"
    user() { setpriv --reuid 54321 --regid 54321 --clear-groups "$@"; }
    "$HELPERS/mqmake" "/$q" 8 64 # mode 0600, root's
    expect 5 user "$other_dir/ipcbox" mqpeek follow "/$q" --timeout 0.2
    actor rooted
    events=$BATS_TEST_TMPDIR/events
    note=$BATS_TEST_TMPDIR/note
    setpriv --reuid 54321 --regid 54321 --clear-groups "$other_dir/ipcbox" mqpeek follow -J --all >"$events" 2>"$note" 3>&- &
    follow_pid=$!
    cp "$HELPERS/mqmake" "$other_dir/"
    # Until it has begun: its descriptors cannot be looked at from here.
    both() {
        "$HELPERS/mqmake" -u "/$q-own" 2>/dev/null || true
        tells rooted "send 0 secret"
        tells rooted "recv"
        user "$other_dir/mqmake" "/$q-own" 4 64 1:mine
        has_events '.event == "send"' 1
    }
    within 60 both
    kill -TERM "$follow_pid"
    ended 0
    "$HELPERS/mqmake" -u "/$q-own"
    is "$(jq -sc 'map(select(.event == "send") | [.queue,.text]) | unique' "$events")" "[[\"/$q-own\",\"mine\"]]"
    run ! grep -q secret "$events"
    run ! grep -q "/$q\"" "$events"
    # Without capabilities: why not, and what would help.
    cp "$IPCBOX" "$other_dir/plain"
    expect 5 user "$other_dir/plain" mqpeek follow --all
    has "$err" "cannot follow" "("
}

@test "it detaches at once, also while its reader has stopped reading" {
    "$HELPERS/mqmake" "/$q" 8 64
    actor one
    mkfifo "$BATS_TEST_TMPDIR/pipe"
    exec 8<>"$BATS_TEST_TMPDIR/pipe"
    "$IPCBOX" mqpeek follow "/$q" -J >"$BATS_TEST_TMPDIR/pipe" 2>"$BATS_TEST_TMPDIR/note" 3>&- 8>&- &
    follow_pid=$!
    note=$BATS_TEST_TMPDIR/note
    within 60 begun
    writes() { grep -q '^1 ' "/proc/$follow_pid/syscall"; } # write(2)
    until_stuck() { tells one "flood 8 $1" && tells one drain && writes; }
    within 60 until_stuck "$(printf 'x%.0s' {1..60})"
    begun
    kill -TERM "$follow_pid" # SIGINT is ignored in the background
    detached() { kill -0 "$follow_pid" && ! begun; }
    within 60 detached
    writes
    # What was recorded until then is still told.
    cat <"$BATS_TEST_TMPDIR/pipe" >"$BATS_TEST_TMPDIR/events" 3>&- 8>&- &
    reader=$!
    exec 8>&-
    ended 0
    wait "$reader"
    has "$(cat "$note")" "$(grep -cE '"event":"(send|recv)"' "$BATS_TEST_TMPDIR/events") events, 0 lost"
}

@test "Ctrl-C on a terminal ends it with the totals" {
    "$HELPERS/mqmake" "/$q" 8 64
    actor one
    screen_start 160 24 "$IPCBOX mqpeek follow /$q"
    sends() { tells one "send 5 hello" && tells one recv && shows "send" "one" "hello"; }
    within 60 sends
    keys C-c
    see "events, 0 lost" "seconds" "status=0"
    screen_stop
}
