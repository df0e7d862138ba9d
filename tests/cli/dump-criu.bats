#!/usr/bin/env bats
# mqdump criu: a real criu checkpoints and restores a tree of processes with queues.

load common

setup_file() {
    [ "$(id -u)" = 0 ] || skip "needs root"
    cd "$BATS_FILE_TMPDIR"
    if ! tree=$("$SRC/tests/lib/debian-pkg.sh" tree sid criu 2>reason); then
        echo "no criu to be had: $(cat reason)" >no-criu
        return 0
    fi
    printf '#!/bin/sh\nexec "%s" exec "%s" criu "$@"\n' "$SRC/tests/lib/debian-pkg.sh" "$tree" >criu
    chmod +x criu
    ./criu check >check.log 2>&1 || echo "criu cannot run here: $(tail -n 1 check.log)" >no-criu
    "$IPCBOX" mqdump criu script >save
    chmod +x save
}

setup() {
    criu=$BATS_FILE_TMPDIR/criu save=$BATS_FILE_TMPDIR/save
    export IPCBOX_STATE_DIR=$BATS_TEST_TMPDIR/state
    cd "$BATS_TEST_TMPDIR"
    mkdir w img
    a=/$(unique a) b=/$(unique b)
    pid='' reaper=''
}

teardown() {
    for ready in w/ready root/w/ready; do
        [ -e "$ready" ] || continue
        # shellcheck disable=SC2046
        kill -KILL $(pgrep -x -P "$(cat "$ready")" criutree) 2>/dev/null || true
        kill -KILL "$(cat "$ready")" 2>/dev/null || true
    done
    "$HELPERS/mqmake" -u "$a" 2>/dev/null || true
    "$HELPERS/mqmake" -u "$b" 2>/dev/null || true
}

need_criu() {
    [ ! -e "$BATS_FILE_TMPDIR/no-criu" ] || skip "$(cat "$BATS_FILE_TMPDIR/no-criu")"
}

# begin [WRAPPER…]: starts the tree; its first process becomes $pid, who reaps it $reaper.
begin() {
    need_criu
    "$HELPERS/criutree" -r "$@" "$HELPERS/criutree" "$a" "$b" w 3>&- &
    reaper=$!
    within 30 test -e w/ready
    pid=$(cat w/ready)
    within 30 blocked
}

# The receiver sleeps in mq_timedreceive, as the kernel tells.
blocked() {
    local child
    for child in $(pgrep -P "$pid"); do
        read -r nr _ <"/proc/$child/syscall"
        [ "$nr" != 243 ] || return 0
    done
    return 1
}

# shellcheck disable=SC2046
checkpoint() {
    "$criu" dump -t "$pid" -D img -o dump.log --action-script "$save" "$@" \
        $(mqdump criu args "$pid") >dump.out 2>&1
}

back() {
    "$HELPERS/criutree" -r "$IPCBOX" mqdump criu restore -D img --criu "$criu" -- -D img -d -o restore.log \
        >back.out 2>&1 3>&- &
    reaper=$!
}

restored() { [ "$(mqdump criu args "$pid" | wc -l)" = 3 ]; }
inodes() { sed 's/.*:\(.*\)]/\1/' | sort; }

# Every message in order, through the shared descriptor; the blocked receiver wakes; the nameless.
finish_and_check() {
    touch w/go
    within 30 test -e w/drained || { cat back.out img/restore.log; false; }
    is "$(paste -sd, w/drained)" "9:high,9:high too,5:middle,1:low,0:"
    [ ! -e w/received ]
    cat >one.dump <<DUMP
{"type":"header","format":"ipcbox-dump","version":1,"kind":"queues"}
{"type":"queue","name":"$b","maxmsg":6,"msgsize":32,"mode":"0600","uid":0,"gid":0}
{"type":"message","queue":"$b","priority":4,"text":"wake up"}
DUMP
    mqdump seal one.dump -O one.dump
    "$@" "$IPCBOX" mqdump restore --append one.dump
    wait "$reaper"
    is "$(cat w/received)" "4:wake up"
    is "$(cat w/nameless)" "3:nobody knows"
}

@test "mqdump criu: a tree, killed, comes back with its queues as they were" {
    begin
    expect 0 mqdump criu args "$pid"
    is "$(wc -l <<<"$out")" 3
    [ -z "$(grep -vxE -- '--external file\[[0-9a-f]+:[0-9a-f]+\]' <<<"$out")" ]
    checkpoint || { cat img/dump.log; false; }
    wait "$reaper" || true
    ! kill -0 "$pid" 2>/dev/null
    before=$out
    back
    within 30 restored
    # Those with a name are the same objects as before, the nameless one cannot be.
    is "$(comm -12 <(inodes <<<"$before") <(mqdump criu args "$pid" | inodes) | wc -l)" 2
    finish_and_check
}

@test "mqdump criu: queues that are gone are made again, with every message in order" {
    begin
    checkpoint || { cat img/dump.log; false; }
    wait "$reaper" || true
    "$HELPERS/mqmake" -u "$a"
    "$HELPERS/mqmake" -u "$b"
    back
    finish_and_check
}

@test "mqdump criu: a queue that has changed since is refused, or replaced when told" {
    begin
    checkpoint || { cat img/dump.log; false; }
    wait "$reaper" || true
    "$HELPERS/mqmake" -u "$a"
    "$HELPERS/mqmake" "$a" 6 32 2:other
    expect 1 mqdump criu restore -D img --criu "$criu" -- -D img -d
    has "$err" "$a exists, and is not what was saved" "--replace"
    is "$(mqdump save "$a" | jq -r 'select(.type == "message").text')" other
    "$HELPERS/criutree" -r "$IPCBOX" mqdump criu restore --replace -D img --criu "$criu" -- -D img -d \
        >back.out 2>&1 3>&- &
    reaper=$!
    finish_and_check
    has "$(cat back.out)" "what was there is in $IPCBOX_STATE_DIR"
}

@test "mqdump criu: a tree with an IPC namespace of its own gets a new one" {
    begin unshare -i
    ! "$HELPERS/mqmake" -u "$a" 2>/dev/null
    checkpoint || { cat img/dump.log; false; }
    is "$(jq 'select(.type == "criu_tree").own_ipc_namespace' img/mqueues.dump)" true
    wait "$reaper" || true
    back
    within 30 restored
    [ "$(stat -Lc %i "/proc/$pid/ns/ipc")" != "$(stat -Lc %i /proc/self/ns/ipc)" ]
    finish_and_check nsenter -i -t "$pid"
}

# In a mount namespace of its own, with a root that holds little more than the program.
write_mounted()
{
    need_criu
    cat >inner.py <<'PY'
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
def must(r):
    if r != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
os.chdir("root")
must(libc.mount(b"none", b"dev/mqueue", b"mqueue", 0, None))
must(libc.mount(b"none", b"proc", b"proc", 0, None))
must(libc.pivot_root(b".", b"old"))
os.chdir("/")
must(libc.umount2(b"/old", 2))
os.closerange(3, 4096)
os.execv("/bin/criutree", ["criutree", sys.argv[1], sys.argv[2], "/w"])
PY
    cat >mounted.sh <<'SH'
own=$1 back=$2
shift 2
mount --make-rprivate /
mkdir -p root/w root/dev/mqueue root/proc root/old root/bin
cp "$HELPERS/criutree" root/bin
for lib in $(ldd "$HELPERS/criutree" | grep -o '/[^ ]*'); do
    mkdir -p "root${lib%/*}"
    cp "$lib" "root$lib"
done
mknod root/dev/null c 1 3
mount --bind root root
"$HELPERS/criutree" -r unshare -m $own python3 inner.py "$a" "$b" >tree.out 2>&1 </dev/null &
within 30 test -e root/w/ready
pid=$(cat root/w/ready)
within 30 blocked
# shellcheck disable=SC2046
"$criu" dump -t "$pid" -D img -o dump.log --action-script "$save" --external 'mnt[/dev/mqueue]:mq' \
    $("$IPCBOX" mqdump criu args "$pid") >dump.out 2>&1 || { cat dump.out img/dump.log; exit 1; }
wait || true
[ -n "$own" ] || { "$HELPERS/mqmake" -u "$a"; "$HELPERS/mqmake" -u "$b"; }
"$HELPERS/criutree" -r "$IPCBOX" mqdump criu restore -D img --criu "$criu" $back -- -D img -d -o restore.log \
    --root "$PWD/root" >back.out 2>&1 </dev/null &
within 30 restored || { cat back.out img/restore.log; exit 1; }
echo "listed: $(ls "/proc/$pid/root/dev/mqueue" | paste -sd' ')"
touch root/w/go
within 30 test -e root/w/drained
cat root/w/drained
# shellcheck disable=SC2046
kill -KILL $(pgrep -P "$pid") "$pid"
wait || true
SH
    export a b criu save
    export -f within blocked restored mqdump
}

@test "mqdump criu: a tree with a mount namespace where mqueue is mounted" {
    write_mounted
    expect 0 unshare -m bash -eu mounted.sh "" "--mount mq"
    is "$(grep : <<<"$out" | grep -v listed | paste -sd,)" "9:high,9:high too,5:middle,1:low,0:"
    has "$out" "listed: " "${a#/}" "${b#/}"
}

@test "mqdump criu: a tree with mount and IPC namespaces of its own sees its own queues" {
    write_mounted
    expect 0 unshare -m bash -eu mounted.sh -i "--mount mq"
    is "$out" "listed: ${a#/} ${b#/}
9:high
9:high too
5:middle
1:low
0:"
    ! "$HELPERS/mqmake" -u "$a" 2>/dev/null
}

@test "mqdump criu: when the queues cannot be saved the checkpoint fails and the tasks live" {
    begin
    printf '#!/bin/sh\nexec "%s" mqdump criu action --backend syscall\n' "$IPCBOX" >save-badly
    chmod +x save-badly
    save=$PWD/save-badly
    ! checkpoint
    [ ! -e img/mqueues.dump ]
    kill -0 "$pid"
    touch w/go
    within 30 test -e w/drained
    is "$(paste -sd, w/drained)" "9:high,9:high too,5:middle,1:low,0:"
    kill -KILL "$pid"
    pkill -KILL -P "$reaper" || true
    wait "$reaper" || true
}

@test "mqdump criu: a notification, which a restore loses, is told" {
    cat >notified.py <<'PY'
import ctypes, os, sys, time
libc = ctypes.CDLL(None, use_errno=True)
q = libc.mq_open(sys.argv[1].encode(), os.O_RDONLY)
none = (ctypes.c_int * 16)(0, 0, 0, 1) # struct sigevent: SIGEV_NONE
if q < 0 or libc.mq_notify(q, none) != 0:
    sys.exit(os.strerror(ctypes.get_errno()))
print("ready", flush=True)
time.sleep(60)
PY
    "$HELPERS/mqmake" "$a" 5 20 1:x
    python3 notified.py "$a" >notified.out 3>&- &
    within 30 grep ready notified.out
    expect 0 env CRTOOLS_SCRIPT_ACTION=post-dump CRTOOLS_IMAGE_DIR="$PWD/img" CRTOOLS_INIT_PID=$! "$IPCBOX" mqdump criu action
    kill $!
    has "$err" "$a: the notification that process $! has registered is lost by a restore"
    expect 0 mqdump verify img/mqueues.dump
}

@test "mqdump criu script: runs itself, however it is called" {
    cp "$IPCBOX" copy && ln "$IPCBOX" hard 2>/dev/null || cp "$IPCBOX" hard
    mkdir links && cp copy links/mqdump
    for self in "$IPCBOX mqdump" ./copy\ mqdump ./hard\ mqdump ./links/mqdump; do
        # shellcheck disable=SC2086 # words
        $self criu script >script && chmod +x script
        CRTOOLS_SCRIPT_ACTION=pre-dump ./script
    done
}

@test "mqdump criu: other actions do nothing, wrong words are usage" {
    expect 0 env CRTOOLS_SCRIPT_ACTION=pre-dump "$IPCBOX" mqdump criu action
    is "$out$err" ""
    expect 2 mqdump criu action
    expect 2 mqdump criu args
    expect 2 mqdump criu restroe
    has "$err" 'did you mean "restore"'
    expect 3 mqdump criu args 2147483646
    expect 3 mqdump criu restore -D "$PWD/none"
}

@test "mqdump criu: the three commands of the README" {
    mkdir bin
    ln -s "$criu" bin/criu
    ln -s "$IPCBOX" bin/mqdump
    begin
    "$SRC/tests/lib/readme" block criu | sed "s/PID/$pid/g" >commands
    is "$(wc -l <commands)" 3
    PATH=$PWD/bin:$PATH sh -euc "$(head -n 2 commands)" >dump.out 2>&1 || { cat dump.out; false; }
    wait "$reaper" || true
    "$HELPERS/mqmake" -u "$a"
    "$HELPERS/mqmake" -u "$b"
    PATH=$PWD/bin:$PATH "$HELPERS/criutree" -r sh -c "$(tail -n 1 commands)" >back.out 2>&1 3>&- &
    reaper=$!
    finish_and_check
}
