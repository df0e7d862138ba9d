#!/usr/bin/env bats
# mqdump: save, restore, show, verify, seal.

load common

setup() {
    export IPCBOX_STATE_DIR=$BATS_TEST_TMPDIR/state TMPDIR=$BATS_TEST_TMPDIR
    cd "$BATS_TEST_TMPDIR"
    q=/$(unique dump)
    others=()
    job=
}

teardown() {
    [ -z "$job" ] || resume # of a failed test
    for name in "$q" "${others[@]}"; do
        "$HELPERS/mqmake" -u "$name" 2>/dev/null || true
    done
}

make() { "$HELPERS/mqmake" "$@"; }
unlink() { "$HELPERS/mqmake" -u "$1"; }
exists() { mqdump save "$1" >/dev/null 2>&1; }
# What a queue holds, its sizes included; times and tools left out.
content() { mqdump save "$1" | jq -c 'select(.type == "queue" or .type == "message") | del(.time)'; }

@test "mqdump: save, unlink, restore: as it was" {
    make "$q" 5 20 3:low 9:high 9:later 0:
    before=$(content "$q")
    expect 0 mqdump save "$q" -O a.dump
    is "$(content "$q")" "$before"
    unlink "$q"
    expect 0 mqdump restore a.dump
    has "$out" "create" "$q"
    is "$(content "$q")" "$before"
    is "$(stat -c %a a.dump)" 600
}

@test "mqdump: hundreds of random queues, owners, modes, names and payloads" {
    rounds=200
    ! sanitized || rounds=40 # the plain build has them all
    [ -z "${IPCBOX_TEST_LONG-}" ] || rounds=500
    expect 0 timeout 900 "$HELPERS/dumpstorm" rounds "$IPCBOX" . $rounds "$RANDOM"
    is "$out" "$rounds rounds"
}

@test "mqdump: an existing queue is an error, and nothing at all is made" {
    other=$q-2 others=("$q-2")
    make "$q" 5 20 1:a
    make "$other" 5 20 2:b
    mqdump save "$other" "$q" -O a.dump
    unlink "$other"
    before=$(content "$q")
    expect 1 mqdump restore a.dump
    has "$err" "$q exists already" "nothing was restored" "--replace"
    ! exists "$other"
    is "$(content "$q")" "$before"
}

@test "mqdump: --dry-run says what would be done and does nothing" {
    make "$q" 5 20 1:a
    mqdump save "$q" -O a.dump
    unlink "$q"
    expect 0 mqdump -J restore --dry-run a.dump
    jq -e '.queues | length == 1 and .[0].action == "create" and .[0].message_count == 1' <<<"$out"
    ! exists "$q"
}

@test "mqdump: --append puts messages behind those that are there, or fails before the first" {
    make "$q" 3 20 5:one 5:two
    mqdump save "$q" -O a.dump
    expect 1 mqdump restore --append a.dump
    has "$err" "2 of 3 messages: 2 more do not fit"
    unlink "$q"
    make "$q" 4 20 5:zero
    expect 0 mqdump restore --append a.dump
    is "$(content "$q" | jq -r 'select(.type == "message").text' | paste -sd,)" zero,one,two
}

has_messages() { [ "$(mqpeek -J info "$q" | jq '.queues[0].depth')" = "$1" ]; }

# after N COMMAND…: in the background ($job), stopped behind its Nth message; goes on with resume.
after() {
    local n=$1
    shift
    strace -qq -o /dev/null -e trace=mq_timedsend -e inject=mq_timedsend:signal=STOP:when="$n" "$@" >slow.out 2>slow.err 3>&- &
    job=$!
    within 30 has_messages "$n"
}
resume() {
    local child
    for child in "$job" $(pgrep -P "$job"); do
        pkill -CONT -P "$child" || true
    done
}

@test "mqdump: --append waits for room, goes on when there is, and tells how far it came when there is not" {
    make "$q" 3 20 3:a 2:b 1:c
    mqdump save "$q" -O a.dump
    unlink "$q"
    make "$q" 3 20
    sed '/"b"\|"c"/d; s/"text":"a"/"text":"x"/; s/"data_base64":"YQ==",//' a.dump | mqdump seal >x.dump
    after 1 "$IPCBOX" mqdump restore --append --timeout 0.2 a.dump
    mqdump restore --append x.dump >/dev/null
    resume
    ! wait "$job"
    has "$(cat slow.err)" "not all was restored" "$q became full: 2 of 3 messages were appended" "the rest is still in the dump"
    is "$(content "$q" | jq -r 'select(.type == "message").text' | paste -sd,)" a,x,b
    unlink "$q"
    make "$q" 3 20
    after 1 "$IPCBOX" mqdump restore --append --timeout 60 a.dump
    mqdump restore --append x.dump >/dev/null
    resume
    within 30 has_messages 3
    {
        echo '{"type":"header","format":"ipcbox-dump","version":1,"kind":"traffic"}'
        echo "{\"type\":\"event\",\"event\":\"recv\",\"time\":\"2026-01-01T00:00:00Z\",\"queue\":\"$q\"}"
    } | mqdump seal >recv.traffic
    mqdump replay --only all recv.traffic >/dev/null
    wait "$job"
    is "$(content "$q" | jq -r 'select(.type == "message").text' | paste -sd,)" x,b,c
}

# With mode 0000 only the privileged can: then it is not whole, and not restored.
@test "mqdump: a queue that somebody uses or unlinks while it is filled is not restored" {
    [ "$(id -u)" = 0 ] || skip "needs root"
    make "$q" 5 20 3:a 2:b 1:c
    mqdump save "$q" -O a.dump
    unlink "$q"
    jq -c 'select(.text != "b" and .text != "c")' a.dump | mqdump seal >one.dump
    after 2 "$IPCBOX" mqdump restore a.dump
    mqdump restore --append one.dump >/dev/null
    resume
    ! wait "$job"
    has "$(cat slow.err)" "nothing was restored: $q: somebody else has used it while it was filled"
    ! exists "$q"
    after 2 "$IPCBOX" mqdump restore a.dump
    unlink "$q"
    make "$q" 2 2 1:z
    resume
    ! wait "$job"
    has "$(cat slow.err)" "nothing was restored: $q: somebody else has unlinked it"
    # What has come there meanwhile is not ours to remove.
    is "$(content "$q" | jq -r 'select(.type == "message").text')" z
}

@test "mqdump: --replace keeps the old queue in a file that restores it" {
    make "$q" 3 20 5:new
    mqdump save "$q" -O new.dump
    unlink "$q"
    make "$q" 4 30 7:old 1:older
    before=$(content "$q")
    expect 0 mqdump -J restore --replace new.dump
    saved=$(jq -r '.queues[0].saved' <<<"$out")
    is "$(content "$q" | jq -r 'select(.type == "message").text')" new
    unlink "$q"
    expect 0 mqdump restore "$saved"
    is "$(content "$q")" "$before"
}

@test "mqdump: --rename, chosen queues, the same name twice" {
    others=("$q-2" "$q-new")
    make "$q" 5 20 1:a
    make "$q-2" 5 20 1:b
    mqdump save "$q" "$q-2" -O a.dump
    unlink "$q-2"
    expect 0 mqdump restore a.dump "$q" --rename "$q=$q-new"
    ! exists "$q-2"
    is "$(content "$q-new" | jq -r 'select(.type == "message").text')" a
    expect 1 mqdump restore a.dump --rename "$q=$q-x" --rename "$q-2=$q-x"
    has "$err" "lines 2 and 4 both restore $q-x"
    expect 3 mqdump restore a.dump /not-in-it
    expect 3 mqdump restore a.dump --rename /not-in-it=/x
    expect 1 mqdump restore a.dump "$q" --rename "$q=/x/y"
    has "$err" "one slash, at its beginning"
    unlink "$q-new"
    # As elsewhere the slash may be left out.
    expect 0 mqdump -J restore a.dump "${q#/}" --rename "${q#/}=${q#/}-new"
    is "$(jq -r '.queues[] | select(.action == "create") | .from, .name' <<<"$out" | paste -sd' ')" "$q $q-new"
}

@test "mqdump: damage is refused with its line, and nothing is made" {
    make "$q" 5 20 1:a 1:bbbb
    mqdump save "$q" -O a.dump
    unlink "$q"
    head -n 3 a.dump >cut.dump
    expect 1 mqdump restore cut.dump
    has "$err" "line 3: the dump ends without an end record" "--partial"
    sed 's/"priority":1/"priority":3/' a.dump >flip.dump
    expect 1 mqdump restore flip.dump
    has "$err" "line 5: the checksum" "mqdump seal"
    sed '1s/"version":1/"version":3/' a.dump >new.dump
    expect 1 mqdump verify new.dump
    has "$err" "format version 3" "newer ipcbox"
    expect 1 mqdump restore /bin/true
    has "$err" "line 1: no header of an ipcbox dump"
    sed '4s/YmJiYg==/YmJiY!==/' a.dump >b64.dump
    expect 1 mqdump verify b64.dump
    has "$err" "line 4: \"data_base64\" is no base 64"
    jq -c 'select(.type != "queue")' a.dump | mqdump seal >noqueue.dump
    expect 1 mqdump restore noqueue.dump
    has "$err" "line 2: a message before the first queue"
    ! exists "$q"
    expect 0 mqdump restore --partial cut.dump
    is "$(content "$q" | jq -r 'select(.type == "message").text')" a
    expect 3 mqdump verify absent.dump
}

@test "mqdump: what a newer program adds is ignored, and what it is not asked for" {
    make "$q" 5 20 1:a
    mqdump save "$q" -O a.dump
    jq -se --arg host "$(uname -n)" --arg kernel "$(uname -r)" '.[0] | .format == "ipcbox-dump" and .version == 1 and
        .kind == "queues" and .tool == "mqdump" and .host == $host and .kernel == $kernel and .backend and
        (.time | test("^20.*T.*[.][0-9]{9}Z$"))' a.dump
    unlink "$q"
    jq -c '.added = {deep: [1, {}]} | if .type == "queue" then ., {type: "remark", what: 5} else . end' a.dump |
        mqdump seal >more.dump
    is "$(wc -l <more.dump)" 5
    expect 0 mqdump verify more.dump
    expect 0 mqdump restore more.dump
    is "$(content "$q" | jq -r 'select(.type == "message").text')" a
    # Any kind is verified, with its payloads, whoever wrote it.
    sed '1s/"queues"/"bus1"/' more.dump | mqdump seal >bus.dump
    expect 0 mqdump -J verify bus.dump
    is "$(jq -r '.dumps[0].kind' <<<"$out")" bus1
}

@test "mqdump: a dump through a pipe is checked before the first effect" {
    make "$q" 5 20 1:a
    mqdump save "$q" -O a.dump
    unlink "$q"
    expect 1 bash -c 'head -n 3 a.dump | "$IPCBOX" mqdump restore -'
    ! exists "$q"
    expect 0 bash -c '"$IPCBOX" mqdump restore - <a.dump'
    unlink "$q"
    expect 0 bash -c 'cat a.dump | "$IPCBOX" mqdump restore -'
    exists "$q"
    is "$(find "$TMPDIR" -name 'ipcbox*')" ""
}

@test "mqdump: an edited dump is sealed; text that contradicts the data is refused" {
    make "$q" 5 20 1:a 8:b
    mqdump save "$q" -O a.dump
    unlink "$q"
    jq -c 'select(.type != "message" or .priority > 5)' a.dump >edited.dump
    expect 1 mqdump verify edited.dump
    expect 0 mqdump seal edited.dump -O edited.dump
    expect 0 mqdump restore edited.dump
    is "$(content "$q" | jq -r 'select(.type == "message").text')" b
    jq -c 'if .type == "message" then .text = "x" else . end' a.dump >text.dump
    expect 1 mqdump seal text.dump
    has "$err" 'line 3: "text" is not what "data_base64" holds'
    jq -c 'if .type == "message" then del(.data_base64, .length) | .text = "new" else . end' a.dump |
        mqdump seal >text.dump
    unlink "$q"
    expect 0 mqdump restore text.dump
    is "$(content "$q" | jq -r 'select(.type == "message").text' | paste -sd,)" new,new
    expect 1 bash -c 'jq . a.dump | "$IPCBOX" mqdump seal'
    has "$err" "jq -c"
}

@test "mqdump: a file appears whole or not at all, output that fails is an error" {
    make "$q" 5 20 1:a
    echo old >kept
    expect 3 mqdump save "$q" /ipcbox-none-such -O kept
    is "$(cat kept)" old
    expect 1 bash -c '"$IPCBOX" mqdump save "$1" >/dev/full' bash "$q"
    expect 0 bash -c '"$IPCBOX" mqdump save "$1" | true' bash "$q"
    is "$err" ""
    expect 2 mqdump save
    expect 2 mqdump save --all "$q"
    expect 2 mqdump restore
}

@test "mqdump: show tells queues and messages" {
    make "$q" 5 20 1:a 8:bb
    mqdump save "$q" -O a.dump
    expect 0 mqdump -J show a.dump
    jq -e '.kind == "queues" and (.queues[0] | .depth == 2 and .bytes == 3 and .maxmsg == 5)' <<<"$out"
    expect 0 mqdump -J show --messages a.dump "$q"
    jq -e '[.messages[].text] == ["bb", "a"]' <<<"$out"
    # The day too: a dump may be old.
    expect 0 mqdump show a.dump
    has "$out" "time:    $(date +%F) "
    expect 0 mqdump verify a.dump
    has "$out" " $(date +%F) "
    expect 3 mqdump show a.dump "${q#/}" /absent
    has "$out" "$q"
    has "$err" "/absent is not in the dump"
    head -n 3 a.dump >cut.dump
    expect 1 mqdump show cut.dump
    has "$out" "$q"
    has "$err" "line 3"
}

@test "mqdump: what was saved while messages moved is said so by show and restore" {
    make "$q" 5 20 1:a
    mqdump save "$q" | sed 's/"consistent":true/"consistent":false/' | mqdump seal >a.dump
    unlink "$q"
    expect 0 mqdump -J show a.dump
    jq -e '.queues[0].consistent == false' <<<"$out"
    expect 0 mqdump restore a.dump
    has "$err" "$q: messages were moving when it was saved"
}

@test "mqdump: a dump that was cut off is sealed, within a line only when told" {
    make "$q" 5 20 1:a 2:b
    mqdump save "$q" -O a.dump
    head -n 3 a.dump >cut.dump
    expect 1 mqdump verify cut.dump
    has "$err" "mqdump seal takes what is there"
    expect 0 mqdump seal cut.dump -O cut.dump
    is "$(jq -r 'select(.type == "message").text' cut.dump)" b
    expect 0 mqdump verify cut.dump
    head -c -110 a.dump >torn.dump
    expect 1 mqdump verify torn.dump
    has "$err" "line 4:" "seal --partial"
    expect 1 mqdump seal torn.dump
    has "$err" "line 4: the last line has no newline" "--partial drops it"
    expect 0 mqdump seal --partial torn.dump -O torn.dump
    expect 0 mqdump verify torn.dump
    is "$(jq -r 'select(.type == "message").text' torn.dump)" b
}

@test "mqdump: dumps of channels are verified and shown as well, and not taken for queues" {
    export IPCBOX_CHANNELS=$BATS_TEST_TMPDIR
    u() { uringipc --backend embedded "$@"; }
    expect 0 u create --detach --key jobs --entries 8 --size 100
    expect 0 u send jobs hello
    expect 0 u dump jobs -O c.dump
    expect 0 u destroy jobs
    expect 0 mqdump -J verify c.dump
    jq -e '.dumps[0] | .kind == "channel" and .tool == "uringipc" and .record_count == 2' <<<"$out"
    expect 0 mqdump -J show c.dump
    jq -e '.types == [{type: "channel", record_count: 1}, {type: "message", record_count: 1}]' <<<"$out"
    sed 's/"data_base64":"aGVsbG8="/"data_base64":"aGVsbG8"/' c.dump | mqdump seal >/dev/null 2>err && false
    grep -q 'line 3: "data_base64" is no base 64' err
    expect 1 mqdump restore c.dump
    has "$err" 'of kind "channel", not of queues'
}

@test "mqdump: queues that a process has open, unlinked ones included" {
    others=("$q-b" "$q-n")
    mkdir w
    "$HELPERS/criutree" "$q" "$q-b" w 3>&- &
    within 30 test -e w/ready
    pid=$(cat w/ready)
    expect 0 mqdump save --pid "$pid" -O a.dump
    is "$(jq -r 'select(.type == "queue" and .unlinked).name' a.dump)" "/criutree-$pid"
    is "$(jq -s 'map(select(.type == "message")) | length' a.dump)" 6
    fd=$(find "/proc/$pid/fd" -lname '*(deleted)' -printf '%f')
    expect 0 mqdump save "pid:$pid:$fd" -O b.dump
    pkill -KILL -P "$pid"
    wait
    expect 0 mqdump restore b.dump --rename "/criutree-$pid=$q-n"
    is "$(content "$q-n" | jq -r 'select(.type == "message").text')" "nobody knows"
}

@test "mqdump: queues of several IPC namespaces, and their restore one by one" {
    [ "$(id -u)" = 0 ] || skip "needs root"
    others=("$q-in")
    make "$q" 5 20 1:outside
    mkfifo ready go
    unshare -i bash -c '"$HELPERS/mqmake" "$1" 5 20 1:inside && echo >ready && read -r <go' bash "$q" &
    read -r <ready
    inside=$(pgrep -P $! -x bash || echo $!)
    # Not all is saved where processes hide their namespaces even from root.
    status=0
    mqpeek -J list -A | jq -e .names_complete >/dev/null || status=5
    expect "$status" mqdump save -A -O all.dump
    expect 0 mqdump save "pid:$inside:$q" -O one.dump
    echo >go
    wait
    jq -s -e --arg q "$q" '[.[] | select(.name == $q) | .ipc_namespace] | unique | length == 2' all.dump
    ns=$(jq -r 'select(.type == "queue").ipc_namespace' one.dump)
    [ "$ns" != "$(stat -Lc %i /proc/self/ns/ipc)" ]
    unlink "$q"
    expect 0 mqdump restore all.dump --namespace "$ns" "$q"
    is "$(content "$q" | jq -r 'select(.type == "message").text')" inside
}

@test "mqdump: what cannot be listed is left out, and that is not success" {
    [ "$(id -u)" = 0 ] || skip "needs root"
    others=("$q-own")
    make "$q" 5 20 1:hidden
    user=$(mktemp -d -p /tmp)
    chown 23456 "$user"
    expect 5 unshare -m sh -c 'umount /dev/mqueue 2>/dev/null
        exec setpriv --reuid 23456 --regid 23456 --clear-groups sh -c '\''
            "$HELPERS/mqmake" "$1" 5 20 1:mine && "$IPCBOX" mqdump save --all -O "$0/all.dump"'\'' "$@"' \
        sh "$user" "$q-own"
    has "$err" "only queues that processes visible to you have open are listed" "run as root"
    expect 0 mqdump verify "$user/all.dump"
    expect 5 setpriv --reuid 23456 --regid 23456 --clear-groups "$IPCBOX" mqdump save -A -O "$user/A.dump"
    has "$err" "which IPC namespace" "hidden from you" "run as root"
    rm -r "$user"
}

@test "mqdump: another user's restore belongs to that user, and says so" {
    [ "$(id -u)" = 0 ] || skip "needs root"
    make "$q" 5 20 1:a
    mqdump save "$q" -O a.dump
    unlink "$q"
    user=$(mktemp -d -p /tmp)
    chown 23456 "$user"
    as="setpriv --reuid 23456 --regid 23456 --clear-groups env IPCBOX_STATE_DIR=$user TMPDIR=$user"
    expect 0 $as "$IPCBOX" mqdump restore - <a.dump
    has "$err" "it is yours now"
    is "$(mqdump save "$q" | jq -r 'select(.type == "queue").uid')" 23456
    unlink "$q"
    # Root gives it back, and its bytes are the owner's to answer for: 5 messages, 20 bytes each.
    jq -c 'if .type == "queue" then .uid = 23456 | .gid = 23457 else . end' a.dump | mqdump seal >given.dump
    expect 0 mqdump restore given.dump
    is "$err" ""
    is "$(mqdump save "$q" | jq -c 'select(.type == "queue") | [.uid, .gid]')" "[23456,23457]"
    cost=$(mqpeek -J info "$q" | jq '.queues[0].charged')
    others=("$q-root" "$q-own")
    expect 1 setpriv --reuid 23456 --clear-groups prlimit --msgqueue=$((2 * cost - 1)) "$HELPERS/mqmake" "$q-own" 5 20
    expect 0 setpriv --reuid 23456 --clear-groups prlimit --msgqueue=$((2 * cost)) "$HELPERS/mqmake" "$q-own" 5 20
    make "$q-root" 5 20 1:a
    expect 5 $as "$IPCBOX" mqdump save "$q-root" -O "$user/x.dump"
    [ ! -e "$user/x.dump" ]
    rm -r "$user"
}

@test "mqdump: a failure on the way removes what was made, and puts back what was replaced" {
    others=("$q-2" "$q-3")
    make "$q" 5 20 1:a
    make "$q-2" 5 20 2:b
    mqdump save "$q" "$q-2" -O a.dump
    unlink "$q"
    unlink "$q-2"
    expect 5 strace -f -qq -o /dev/null -e inject=mq_open:error=EACCES:when=4 "$IPCBOX" mqdump restore a.dump
    has "$err" "$q-2 cannot be created" "nothing was restored"
    ! exists "$q"
    make "$q" 4 20 3:old
    before=$(content "$q")
    expect 1 strace -f -qq -o /dev/null -e inject=mq_timedsend:error=EMSGSIZE:when=2 "$IPCBOX" mqdump restore --replace a.dump
    is "$(content "$q")" "$before"
    ! exists "$q-2"
    is "$(find "$IPCBOX_STATE_DIR" -type f)" ""
}

@test "mqdump: the worked one-liners of the man page do what they say" {
    mapfile -t lines < <(mandoc -T utf8 -O width=1000 "$SRC/man/mqdump.1" | sed 's/.\x08//g' |
        grep -E '^ *(jq|cat|diff) .*dump' | grep -v 'restore -$' | sed 's/^ *//')
    is "${#lines[@]}" 6
    others=("$q-mail")
    make "$q" 5 20 1:low 8:high
    make "$q-mail" 5 20 3:letter
    mqdump save "$q" | jq -c --arg q "$q" '(.name, .queue | select(. == $q)) = "/jobs"' | mqdump seal >jobs.dump
    mqdump save "$q-mail" -O mail.dump
    sed '3d' jobs.dump | mqdump seal >later.dump
    mkdir bin
    printf '#!/bin/sh\nexec "%s" mqdump "$@"\n' "$IPCBOX" >bin/mqdump
    chmod +x bin/mqdump
    for i in "${!lines[@]}"; do
        PATH=$PWD/bin:$PATH bash -c "${lines[i]}" >"out$i" 2>&1 || [ "$i" = 5 ]
    done
    mqdump verify urgent.dump work.dump both.dump
    is "$(jq -r 'select(.type == "message").text' urgent.dump)" high
    is "$(jq -r 'select(.type == "queue").name, (select(.type == "message").queue)' work.dump | sort -u)" /work
    is "$(jq -r 'select(.type == "message").text' both.dump | paste -sd,)" high,low,letter
    is "$(cat out3)" "$(printf '1 %s\n2 /jobs' "$q-mail")"
    is "$(cat payloads)" highlow
    has "$(cat out5)" '< {"type":"message","queue":"/jobs","priority":8'
}
