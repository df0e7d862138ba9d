#!/usr/bin/env bats
# mqpeek metrics: read by those who will read it.

load common
load scene

setup() { scene_start; }
teardown() { scene_stop; }

# Prints SAMPLE<TAB>LABELS<TAB>VALUE of each sample in a file, with the reference parser.
parse() {
    /usr/bin/python3 - "$1" <<'END'
import json, sys
from prometheus_client.openmetrics.parser import text_fd_to_metric_families
with open(sys.argv[1], newline="\n") as f:
    for family in text_fd_to_metric_families(f):
        for s in family.samples:
            print(s.name, json.dumps(s.labels, sort_keys=True), float(s.value), sep="\t")
END
}

@test "metrics: the reference parser and promtool take it, and read the right values" {
    expect 0 mqpeek metrics -q
    parse "$BATS_TEST_TMPDIR/out" >"$BATS_TEST_TMPDIR/parsed"
    promtool check metrics <"$BATS_TEST_TMPDIR/out"
    label=$(jq -nc --arg n "/$scene-full" '{queue:$n}' | sed 's/":"/": "/')
    for line in messages:1.0 max_messages:1.0 bytes:3.0 max_message_bytes:16.0 holders:1.0 blocked_senders:1.0; do
        grep -Fx "ipcbox_mqueue_${line%:*}	$label	${line#*:}" "$BATS_TEST_TMPDIR/parsed"
    done
    grep -F "ipcbox_mqueue_blocked_receivers	${label/-full/-empty}	1.0" "$BATS_TEST_TMPDIR/parsed"
    grep -q "^ipcbox_mqueue_charged_bytes	{\"uid\": \"$(id -u)\"" "$BATS_TEST_TMPDIR/parsed"
    grep -Fx "ipcbox_mqueue_limit_queues	{}	$(cat /proc/sys/fs/mqueue/queues_max).0" "$BATS_TEST_TMPDIR/parsed"
    ! grep -F "$scene-gone" "$BATS_TEST_TMPDIR/parsed"
    is "$(tail -n 1 "$BATS_TEST_TMPDIR/out")" "# EOF"
}

@test "metrics: names of any bytes" {
    q="$(unique)"$'a\nb\\c"d\e\xff\x7fü'
    "$HELPERS/mqmake" "/$q" 2 8 0:a
    expect 0 mqpeek metrics -q
    "$HELPERS/mqmake" -u "/$q"
    parse "$BATS_TEST_TMPDIR/out" >"$BATS_TEST_TMPDIR/parsed"
    promtool check metrics <"$BATS_TEST_TMPDIR/out"
    want=$(jq -nc --arg n "/$(unique)"$'a\nb\\c"d\\x1b\\xff\\x7fü' '{queue:$n}' | sed 's/":"/": "/; s/ü/\\u00fc/')
    grep -Fx "ipcbox_mqueue_messages	$want	1.0" "$BATS_TEST_TMPDIR/parsed"
}

@test "metrics -A: a label tells the namespaces apart" {
    unshare -i "$HELPERS/mqscene" "$scene" >"$BATS_TEST_TMPDIR/inner" 3>&- &
    outer=$!
    within 60 test -s "$BATS_TEST_TMPDIR/inner"
    expect 0 mqpeek metrics -q -A
    kill "$outer"
    wait "$outer" || true
    parse "$BATS_TEST_TMPDIR/out" >"$BATS_TEST_TMPDIR/parsed"
    is "$(grep -cF "ipcbox_mqueue_messages	{\"ipc_namespace\"" "$BATS_TEST_TMPDIR/parsed" | head -n 1)" \
        "$(grep -F "ipcbox_mqueue_messages	" "$BATS_TEST_TMPDIR/parsed" | sort -u | wc -l)"
    is "$(grep -F "ipcbox_mqueue_messages	" "$BATS_TEST_TMPDIR/parsed" | grep -cF "\"/$scene-full\"")" 2
}

@test "metrics -O: the file is replaced whole, or stays" {
    f=$BATS_TEST_TMPDIR/q.prom
    echo old >"$f"
    inode=$(stat -c %i "$f")
    expect 0 mqpeek metrics -q -O "$f"
    is "$out" ""
    parse "$f" >/dev/null
    [ "$(stat -c %i "$f")" != "$inode" ]
    is "$(ls -A "$BATS_TEST_TMPDIR" | grep -c 'q\.prom')" 1
    expect 3 mqpeek metrics -O "$BATS_TEST_TMPDIR/none/q.prom"
    expect 1 mqpeek metrics -q -O /dev/full
    expect 1 sh -c '"$IPCBOX" mqpeek metrics -q >/dev/full'
    expect 2 mqpeek metrics -J
}
