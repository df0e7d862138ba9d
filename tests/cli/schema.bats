#!/usr/bin/env bats
# Each JSON output against its schema in tests/schema, on real objects in all situations.

load common
load scene

teardown() { scene_stop; }

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
