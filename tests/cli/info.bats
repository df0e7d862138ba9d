#!/usr/bin/env bats
# mqpeek info, against queues whose state the helper tells.

load common
load scene

setup() { scene_start; }
teardown() {
    scene_stop
    [ -z "${other-}" ] || kill -KILL $other 2>/dev/null || true
    [ -z "${q-}" ] || "$HELPERS/mqmake" -u "/$q" 2>/dev/null || true
}

@test "info: a blocked sender: who, where, since when, whose memory" {
    expect 0 mqpeek -J info "/$scene-full"
    is "$(jq -c '.queues[0] | [.depth,.maxmsg,.msgsize,.bytes,.charged,.mode]' <<<"$out")" '[1,1,16,3,112,"0640"]'
    is "$(jq -c '[.queues[0].holders[] | [.pid,.fd,.access,.nonblock]]' <<<"$out")" \
        "$(wanted '[[.sender.pid,.sender.fd,"write",false]]|tojson')"
    is "$(jq -c '[.queues[0].waiters[] | [.pid,.tid,.direction]]' <<<"$out")" \
        "$(wanted '[[.sender.pid,.sender.pid,"send"]]|tojson')"
    jq -e '.queues[0].holders[0].comm == "\u001b[2J\n\"x"' <<<"$out"
    jq -e --argjson u "$(id -u)" '.queues[0] | .charged_uid == $u' <<<"$out"
    # The hostile name does not reach the terminal.
    expect 0 mqpeek info "/$scene-full"
    has "$out" '\x1b[2J\n"x' "send"
    [[ "$out" != *$'\e'* ]]
}

@test "info: a receiver blocked in a second thread" {
    expect 0 mqpeek -J info "/$scene-empty"
    is "$(jq -c '[.queues[0].waiters[] | [.pid,.tid,.comm,.direction]]' <<<"$out")" \
        "$(wanted '[[.receiver.pid,.receiver.tid,"receiver","recv"]]|tojson')"
}

@test "info: what BPF tells, it tells exactly" {
    expect 0 mqpeek -J info "/$scene-empty"
    if jq -e '.queues[0].waiters_from == "bpf"' <<<"$out"; then
        jq -e '.queues[0] | (.charged_estimated | not) and .charged_total >= .charged and
            .waiters_complete and all(.waiters[]; .blocked > 0) and (has("waiters_reason") | not)' <<<"$out"
        before=$(jq '.queues[0].waiters[0].blocked' <<<"$out")
        expect 0 mqpeek -J info "/$scene-empty"
        jq -e --argjson b "$before" '.queues[0].waiters[0].blocked > $b' <<<"$out"
    else
        jq -e '.queues[0].waiters_reason | length > 0' <<<"$out"
    fi
    # Without the privilege /proc is what there is, and it is said why.
    expect 0 setpriv --inh-caps=-all --bounding-set=-bpf,-perfmon,-sys_admin "$IPCBOX" mqpeek -J info "/$scene-empty"
    is "$(jq -c '.queues[0] | [.waiters_from,.charged_estimated,.charged_total,(.waiters_reason|type)]' <<<"$out")" '["proc",true,null,"string"]'
    is "$(jq -c '[.queues[0].waiters[] | [.pid,.tid,.direction,.blocked]]' <<<"$out")" \
        "$(wanted '[[.receiver.pid,.receiver.tid,"recv",null]]|tojson')"
}

@test "info: a blocked sender, its only receiver, and what that one waits for in turn" {
    q=$(unique)
    "$HELPERS/mqmake" "/$q" 1 16 0:full
    cat >"$BATS_TEST_TMPDIR/chain.py" <<'PY'
import ctypes, os, sys, time
c = ctypes.CDLL(None)
name = sys.argv[1].encode()
r, w = os.pipe()
writer = os.fork()
if writer == 0:
    os.close(r)
    time.sleep(1000)
receiver = os.fork()
if receiver == 0:
    os.close(w)
    c.mq_open(name, os.O_RDONLY)
    os.read(r, 1)
os.close(r)
os.close(w)
q = c.mq_open(name, os.O_WRONLY)
print(os.getpid(), receiver, writer, flush=True)
c.mq_send(q, b"x", 1, 0)
PY
    python3 "$BATS_TEST_TMPDIR/chain.py" "/$q" >"$BATS_TEST_TMPDIR/pids" 3>&- &
    other=$!
    within 60 test -s "$BATS_TEST_TMPDIR/pids"
    read -r sender receiver writer <"$BATS_TEST_TMPDIR/pids"
    other="$sender $receiver $writer"
    chain() { out=$("$@" -J info "/$q") && [ "$(jq -c '[.queues[0].chain[].pid]' <<<"$out")" = "[$sender,$receiver,$writer]" ]; }
    # Through BPF, and as a user who has none: this program, which has the queue open too, is in neither.
    for way in "mqpeek" "setpriv --inh-caps=-all --bounding-set=-bpf,-perfmon,-sys_admin $IPCBOX mqpeek"; do
        within 60 chain $way
        is "$(jq -c '.queues[0].chain[:2] | map([.direction, .object.kind, .wakers])' <<<"$out")" \
            "[[\"send\",\"mq\",[$receiver]],[\"read\",\"pipe\",[$writer]]]"
        jq -e '.queues[0].chain[2].live_because' <<<"$out"
        "$SRC/tests/schema/validate" mqpeek-info <<<"$out"
    done
    expect 0 mqpeek info "/$q"
    has "$out" "who waits for whom:" "[$sender]  sends to mq /$q (full, 1 of 1)" "<- read only by " "[$receiver]  reads pipe:["
    # Nobody is blocked any more: nobody is looked for.
    kill -KILL $other
    other=
    gone() { expect 0 mqpeek -J info "/$q" && jq -e '.queues[0] | .waiters == [] and .chain == []' <<<"$out"; }
    within 60 gone
    "$HELPERS/mqmake" -u "/$q"
}

@test "info: notification, an unlinked queue by its holder, an orphan" {
    expect 0 mqpeek -J info "/$scene-notify" "$(wanted '"pid:\(.pid):\(.gone_fd)"')" "$scene-orphan"
    has "$err" "taking \"$scene-orphan\" as /$scene-orphan"
    is "$(jq -c '.queues[0] | [.notify,.notify_pid,.notify_signo]' <<<"$out")" "$(wanted '["signal",.pid,.signo]|tojson')"
    is "$(jq -c '.queues[1] | [.unlinked,.name,.depth,(.holders|length),([.holders[]|[.access,.nonblock]]|unique)]' <<<"$out")" \
        "$(jq -nc --arg n "/$scene-gone" '[true,$n,1,3,[["write",true]]]')"
    is "$(jq -c '.queues[2] | [.depth,.holders,.waiters]' <<<"$out")" '[2,[],[]]'
    expect 0 mqpeek info --jsonl "/$scene-notify" "/$scene-orphan"
    is "$(jq -sc 'map(.name)' <<<"$out")" "[\"/$scene-notify\",\"/$scene-orphan\"]"
}

@test "info: a queue in another IPC namespace" {
    unshare -i "$HELPERS/mqscene" "$scene-in" >"$BATS_TEST_TMPDIR/inner" 3>&- &
    outer=$!
    within 60 test -s "$BATS_TEST_TMPDIR/inner"
    want=$(cat "$BATS_TEST_TMPDIR/inner")
    expect 0 mqpeek -J info "pid:$(wanted .pid):/$scene-in-full"
    is "$(jq -c '[.queues[0].waiters[] | [.pid,.direction]]' <<<"$out")" "$(wanted '[[.sender.pid,"send"]]|tojson')"
    is "$(jq -r '.queues[0].reference' <<<"$out" | cut -d: -f 3)" "/$scene-in-full"
    kill "$outer"
    wait "$outer" || true
}

@test "info: what is not there, or not the caller's" {
    expect 3 mqpeek info /ipcbox-none-such
    has "$err" "no such queue"
    expect 2 mqpeek info
    expect 2 mqpeek info /a/b
    expect 5 setpriv --reuid 54321 --regid 54321 --clear-groups "$IPCBOX" mqpeek info "/$scene-full"
    expect 3 mqpeek -J info "/$scene-full" /ipcbox-none-such
    is "$(jq '.queues | length' <<<"$out")" 1
    expect 1 sh -c '"$IPCBOX" mqpeek info "/$1-full" >/dev/full' sh "$scene"
}
