#!/usr/bin/env bats
# mqpeek metrics: read by those who will read it.

bats_require_minimum_version 1.5.0
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
    # A backslash is doubled, so that no name reads like another one's bytes.
    want=$(jq -nc --arg n "/$(unique)"$'a\nb\\\\c"d\\x1b\\xff\\x7fü' '{queue:$n}' | sed 's/":"/": "/; s/ü/\\u00fc/')
    grep -Fx "ipcbox_mqueue_messages	$want	1.0" "$BATS_TEST_TMPDIR/parsed"
}

@test "metrics: names that differ only in bytes that are not UTF-8 have labels of their own" {
    q=/$(unique)
    for name in "$q"$'\xff' "$q"$'\xfe' "$q"'\xff' "$q"'\\xff'; do
        "$HELPERS/mqmake" "$name" 2 8
    done
    expect 0 mqpeek metrics -q
    for name in "$q"$'\xff' "$q"$'\xfe' "$q"'\xff' "$q"'\\xff'; do
        "$HELPERS/mqmake" -u "$name"
    done
    is "$(grep "^ipcbox_mqueue_messages{queue=\"$q" <<<"$out" | sort -u | wc -l)" 4
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
    expect 1 mqpeek metrics -O "$BATS_TEST_TMPDIR/none/q.prom"
    expect 1 mqpeek metrics -q -O /dev/full
    expect 1 sh -c '"$IPCBOX" mqpeek metrics -q >/dev/full'
    expect 2 mqpeek metrics -J
}

@test "metrics: a unit where it is the name's last word, and nowhere else; nothing twice" {
    expect 0 mqpeek metrics -q
    for family in $(sed -n 's/^# TYPE \([^ ]*\) .*/\1/p' <<<"$out"); do
        is "$(grep -c "^# HELP $family " <<<"$out")" 1
        unit=$(sed -n "s/^# UNIT $family //p" <<<"$out")
        case ${family##*_} in
            bytes | seconds) is "$unit" "${family##*_}" ;;
            *) is "$unit" "" ;;
        esac
    done
    is "$(grep -v '^#' <<<"$out" | sed 's/ [^ ]*$//' | sort | uniq -d)" ""
}

@test "metrics -O: who reads it never sees half of it; what cannot be written leaves it" {
    dir=$BATS_TEST_TMPDIR/full
    mkdir "$dir"
    expect 0 mqpeek metrics -q -O "$dir/q.prom"
    (for _ in {1..40}; do mqpeek metrics -q -O "$dir/q.prom" || exit; done) 3>&- &
    writer=$!
    reads=0
    while kill -0 "$writer" 2>/dev/null; do
        is "$(tail -n 1 <"$dir/q.prom")" "# EOF"
        reads=$((reads + 1))
    done
    wait "$writer"
    [ "$reads" -gt 0 ]
    before=$(cat "$dir/q.prom")
    # A disk that has room for the half of it.
    unshare -m sh -c '
        mount -t tmpfs -o size=8k none "$0" && printf "%s\n" "$1" >"$0/q.prom" || exit 99
        head -c 4096 /dev/zero >"$0/other" || exit 99
        "$IPCBOX" mqpeek metrics -q -O "$0/q.prom"
        echo "status $?"
        ls -A "$0"
        cat "$0/q.prom"' "$dir" "old
# EOF" >"$BATS_TEST_TMPDIR/on-full" 2>&1
    is "$(sed 's/^ipcbox[^:]*:\|^mqpeek:.*: /error: /' "$BATS_TEST_TMPDIR/on-full")" "error: No space left on device
status 1
other
q.prom
old
# EOF"
    is "$(cat "$dir/q.prom")" "$before"
}

@test "metrics: what a user may not see has no sample, and that is said" {
    expect 0 setpriv --reuid 65534 --regid 65534 --clear-groups "$IPCBOX" mqpeek metrics
    [ -n "$err" ]
    parse "$BATS_TEST_TMPDIR/out" >"$BATS_TEST_TMPDIR/parsed"
    run ! grep -F "ipcbox_mqueue_messages	{\"queue\": \"/$scene-full\"}" "$BATS_TEST_TMPDIR/parsed"
    run ! grep -F "ipcbox_mqueue_blocked_senders	{\"queue\": \"/$scene-full\"}" "$BATS_TEST_TMPDIR/parsed"
    grep -F "ipcbox_mqueue_limit_messages	{}" "$BATS_TEST_TMPDIR/parsed"
}
