#!/usr/bin/env bats
# Each JSON output against its schema in tests/schema, on real objects in all situations.

load common
load scene

teardown() {
    scene_stop
    [ -z "${job-}" ] || kill "$job" 2>/dev/null || true
    [ -z "${q-}" ] || for name in "/$q" "/$q-2"; do "$HELPERS/mqmake" -u "$name" 2>/dev/null || true; done
}

# valid NAME COMMAND…: the command's JSON document, and its JSON Lines with lines NAME COMMAND…
valid() {
    local name=$1
    shift
    expect 0 "$@"
    "$SRC/tests/schema/validate" "$name" <"$BATS_TEST_TMPDIR/out"
}

lines() {
    local name=$1
    shift
    expect 0 "$@"
    "$SRC/tests/schema/validate" --lines "$name" <"$BATS_TEST_TMPDIR/out"
}

@test "schema: the validator refuses what it must" {
    cd "$BATS_TEST_TMPDIR"
    cp "$SRC/tests/schema/validate" .
    jq . "$SRC/tests/schema/ipcbox-install.json" >good.json
    ./validate good <<<'{"links":[]}'
    ! ./validate good <<<'{"links":[],"more":1}'
    ! ./validate good <<<'{}'
    ! ./validate good <<<'{"links":[{"applet":"x","state":"broken"}]}'
    ./validate --lines good <<<'{"applet":"x","state":"made"}'
    ! ./validate --lines good <<<'{"applet":"x"}'
    jq 'del(.properties.links.items.additionalProperties)' good.json >lax.json
    ! ./validate lax <<<'{"links":[]}'
}

@test "schema: mqpeek list" {
    scene_start
    valid mqpeek-list mqpeek -J
    jq -e --arg p "/$scene-" '[.queues[] | select(.name | startswith($p))] | length == 5' <<<"$out"
    valid mqpeek-list mqpeek -J list -A --nonempty
    lines mqpeek-list mqpeek --jsonl
    valid mqpeek-list setpriv --reuid 54341 --regid 54341 --clear-groups "$IPCBOX" mqpeek -J
    valid mqpeek-list unshare -i "$IPCBOX" mqpeek -J
}

@test "schema: mqpeek peek" {
    scene_start
    q=$(unique)
    "$HELPERS/mqmake" "/$q" 4 32 1:text 2: "3:$(printf 'bin\xff\x01')"
    valid mqpeek-peek mqpeek -J "/$q" "/$scene-empty"
    jq -e '.queues[0].messages | length == 3' <<<"$out"
    valid mqpeek-peek mqpeek -J -m 0 "/$q"
    lines mqpeek-peek mqpeek --jsonl "/$q"
    valid mqpeek-peek mqpeek -J --backend drain --force "/$q"
    "$HELPERS/mqmake" -u "/$q"
}

@test "schema: mqpeek info" {
    scene_start
    valid mqpeek-info mqpeek -J info "/$scene-full" "/$scene-empty" "/$scene-notify" "/$scene-orphan" \
        "$(wanted '"pid:\(.pid):\(.gone_fd)"')"
    jq -e '[.queues[].waiters[]] | length == 2' <<<"$out"
    lines mqpeek-info mqpeek info --jsonl "/$scene-full" "/$scene-orphan"
    valid mqpeek-info setpriv --inh-caps=-all --bounding-set=-bpf,-perfmon,-sys_admin "$IPCBOX" mqpeek -J info "/$scene-full"
}

@test "schema: mqpeek limits, mqpeek recover" {
    scene_start
    valid mqpeek-limits mqpeek -J limits
    lines mqpeek-limits mqpeek --jsonl limits
    valid mqpeek-limits mqpeek -J limits 1 1
    valid mqpeek-limits setpriv --reuid 54342 --regid 54342 --clear-groups "$IPCBOX" mqpeek -J limits
    valid mqpeek-recover env XDG_STATE_HOME="$BATS_TEST_TMPDIR/state" "$IPCBOX" mqpeek -J recover
}

@test "schema: ipcbox doctor, ipcbox install" {
    valid ipcbox-doctor ipcbox -J doctor
    lines ipcbox-doctor ipcbox --jsonl doctor
    valid ipcbox-doctor setpriv --reuid 54343 --regid 54343 --clear-groups "$IPCBOX" -J doctor
    valid ipcbox-install ipcbox -J install "$BATS_TEST_TMPDIR"
    valid ipcbox-install ipcbox -J install "$BATS_TEST_TMPDIR"
}

# Its events, of each kind, are validated where they are made: follow.bats.
@test "schema: mqpeek follow: what is no event" {
    cd "$BATS_TEST_TMPDIR"
    event() { "$SRC/tests/schema/validate" --lines mqpeek-follow <<<"{\"time\":\"2026-01-01T00:00:00.000000000Z\",$1}"; }
    event '"event":"lost","count":1'
    ! event '"event":"lost","count":0'
    ! event '"event":"lost","count":1,"queue":"/q"'
    ! event '"event":"create"'
    event '"event":"exit","queue":"/q","pid":1,"comm":"c","exit_code":0,"signal":null'
    ! event '"event":"exit","queue":"/q","pid":1,"comm":"c","exit_code":0,"signal":9'
    ! event '"event":"exit","queue":"/q","pid":1,"comm":"c","exit_code":null,"signal":null'
}

@test "schema: mqpeek top" {
    scene_start
    for rates in sampled counted; do
        # It may have no end: one object a line, with -J too.
        lines mqpeek-top mqpeek top -b -J -N 2 -d 0.1 --rates "$rates"
        jq -se --arg p "/$scene-" '[.[] | select(.name // "" | startswith($p)).name] | unique | length == 5' <<<"$out"
        jq -se --arg n "/$scene-full" 'map(select(.name == $n)) | length == 2 and all(.sender_count == 1)' <<<"$out"
    done
    lines mqpeek-top mqpeek top -b --jsonl -N 1 -d 0.1 --filter "$scene"
    lines mqpeek-top setpriv --inh-caps=-all --bounding-set=-bpf,-perfmon,-sys_admin "$IPCBOX" \
        mqpeek top -b -J -N 1 -d 0.1 --filter "$scene"
}

# told COMMAND…: what -J tells, --jsonl tells, too; and no object has a member twice.
told() {
    "$IPCBOX" "$1" -J "${@:2}" >"$BATS_TEST_TMPDIR/j" || true
    "$IPCBOX" "$1" --jsonl "${@:2}" >"$BATS_TEST_TMPDIR/l" || true
    "$SRC/tests/schema/lossless" "$BATS_TEST_TMPDIR/j" "$BATS_TEST_TMPDIR/l" || { echo "$*"; return 1; }
}

@test "schema: JSON Lines lose nothing that the document has" {
    cd "$BATS_TEST_TMPDIR"
    ! "$SRC/tests/schema/lossless" <(echo '{"a":1,"a":1}') <(echo '{"a":1}')
    ! "$SRC/tests/schema/lossless" <(echo '{"a":1,"b":[{"c":2}]}') <(echo '{"a":1}')
    "$SRC/tests/schema/lossless" <(echo '{"a":1,"b":[{"a":2}]}') <(echo '{"b_a":1,"a":2}')
    scene_start
    q=$(unique)
    "$HELPERS/mqmake" "/$q" 4 32 1:text
    "$HELPERS/mqmake" "/$q-2" 4 32
    told mqpeek list
    told mqpeek list --pid "$$"
    told mqpeek "/$q" "/$q-2"
    told mqpeek "/$q-2"
    told mqpeek "/$q" -o length,LENGTH,content,content
    told mqpeek info "/$scene-full" "/$q-2"
    told mqpeek limits
    is "$(jq -s --arg n "/$scene-orphan" '[.[].orphans // [] | .[] | select(.name == $n)] | length' l)" 1
    is "$(mqpeek --jsonl "/$q-2" | jq -c '[.name, .depth, .index, .data_base64, has("priority")]')" \
        "[\"/$q-2\",0,null,null,true]"
    mqdump save "/$q" "/$q-2" -O a.dump
    head -n 2 a.dump >bad.dump
    told mqdump show a.dump
    told mqdump show --messages a.dump
    told mqdump verify a.dump bad.dump
    is "$(mqdump -J verify a.dump bad.dump absent.dump | jq -c '[.dumps[] | [.file, .whole, .problem == null]]')" \
        '[["a.dump",true,true],["bad.dump",false,false],["absent.dump",false,false]]'
    printf '%s\n' '{"type":"header","format":"ipcbox-dump","version":1,"kind":"traffic","time":"2026-01-01T00:00:00.000Z"}' \
        "{\"type\":\"event\",\"event\":\"send\",\"time\":\"2026-01-02T00:00:00.000Z\",\"queue\":\"/$q\",\"priority\":1,\"text\":\"x\"}" |
        mqdump seal >t.traffic
    told mqdump show t.traffic
    told mqdump show --messages t.traffic
    is "$(jq -r '.dump_time, .time' l)" $'2026-01-01T00:00:00.000000000Z\n2026-01-02T00:00:00.000000000Z'
    told mqdump replay --dry-run t.traffic
    told mqdump restore --dry-run --append a.dump
    told ipcbox doctor
    "$IPCBOX" install "$BATS_TEST_TMPDIR"
    told ipcbox install "$BATS_TEST_TMPDIR"
    told b1ctl list
    told b1ctl graph
    told mqpeek recover
    "$HELPERS/mqmake" -u "/$q" && "$HELPERS/mqmake" -u "/$q-2"
}

@test "schema: mqdump show, verify, restore" {
    cd "$BATS_TEST_TMPDIR"
    export IPCBOX_STATE_DIR=$BATS_TEST_TMPDIR/state
    q=$(unique)
    "$HELPERS/mqmake" "/$q" 4 32 1:text 2: "3:$(printf 'bin\xff\x01')"
    "$HELPERS/mqmake" "/$q-2" 4 32
    mqdump save "/$q" "/$q-2" -O a.dump
    valid mqdump-show mqdump -J show a.dump
    jq -e '[.queues[].depth] == [3, 0]' <<<"$out"
    lines mqdump-show mqdump --jsonl show a.dump
    valid mqdump-show-messages mqdump -J show --messages a.dump
    jq -e '[.messages[] | has("text")] == [false, true, true]' <<<"$out"
    lines mqdump-show-messages mqdump --jsonl show --messages a.dump
    jq -c 'if .type == "queue" then .consistent = false | .unlinked = true | .ipc_namespace = 4026531839 else . end' a.dump |
        mqdump seal >torn.dump
    valid mqdump-show mqdump -J show torn.dump
    jq -e '.queues[0] | .consistent == false and .unlinked and .ipc_namespace > 0' <<<"$out"
    valid mqdump-verify mqdump -J verify a.dump torn.dump
    lines mqdump-verify mqdump --jsonl verify a.dump torn.dump
    for how in --replace --append; do
        valid mqdump-restore mqdump -J restore --dry-run "$how" a.dump "/$q-2"
    done
    jq -e '[.queues[].action] == ["skip", "append"]' <<<"$out"
    valid mqdump-restore mqdump -J restore --replace a.dump
    jq -e '.queues | all(.saved | startswith("/"))' <<<"$out"
    "$HELPERS/mqmake" -u "/$q" && "$HELPERS/mqmake" -u "/$q-2"
    lines mqdump-restore mqdump --jsonl restore a.dump
    "$HELPERS/mqmake" -u "/$q" && "$HELPERS/mqmake" -u "/$q-2"
}

@test "schema: mqdump of traffic: show, verify, replay" {
    cd "$BATS_TEST_TMPDIR"
    q=$(unique)
    "$HELPERS/mqmake" "/$q" 8 32
    "$IPCBOX" mqdump record "/$q" -O r.traffic 2>record.err 3>&- &
    job=$!
    attached() { readlink "/proc/$job/fd/"* | grep -q anon_inode:bpf_link; }
    within 60 attached
    printf 'send 1 \377\nsend 2 text\nrecv-\nrecv\n' | "$HELPERS/mqactor" actor "/$q"
    kill -TERM "$job"
    wait "$job"
    valid mqdump-show-types mqdump -J show r.traffic
    lines mqdump-show-types mqdump --jsonl show r.traffic
    valid mqdump-show-events mqdump -J show --messages r.traffic
    jq -e '[.events[].event] | sort | group_by(.) | map(length) | length == 2 and all(. >= 2)' <<<"$out"
    lines mqdump-show-events mqdump --jsonl show --messages r.traffic
    valid mqdump-verify mqdump -J verify r.traffic
    for how in "--speed 1000" "--speed max" --dry-run; do
        # shellcheck disable=SC2086 # words
        valid mqdump-replay mqdump -J replay $how r.traffic
        jq -e '.sent >= 2' <<<"$out"
    done
    valid mqdump-replay mqdump --jsonl replay --dry-run r.traffic # one line
    "$HELPERS/mqmake" -u "/$q"
    # The least that a foreign tool writes.
    printf '%s\n' '{"type":"header","format":"ipcbox-dump","version":1,"kind":"traffic"}' \
        "{\"type\":\"event\",\"event\":\"send\",\"time\":\"2026-01-01T00:00:00.000Z\",\"queue\":\"/$q\",\"priority\":1,\"text\":\"x\"}" |
        mqdump seal >least.traffic
    valid mqdump-show-events mqdump -J show --messages least.traffic
    jq -e '.tool == null and .events[0].pid == null' <<<"$out"
    valid mqdump-verify mqdump -J verify least.traffic
}

@test "schema: mqpeek of System V queues" {
    s=$(mqctl create --sysv --key 0x5c)
    mqctl send "$s" text
    mqctl send "$s" "" --type 9
    "$IPCBOX" mqctl recv --type 3 "$s" >/dev/null 2>&1 3>&- &
    job=$!
    valid mqpeek-list mqpeek -J list
    valid mqpeek-peek mqpeek -J "$s" key:0x5c
    lines mqpeek-peek mqpeek --jsonl --backend copy "$s"
    valid mqpeek-info-sysv mqpeek -J info "$s"
    mqctl rm "$s"
}
