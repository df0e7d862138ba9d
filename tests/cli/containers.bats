#!/usr/bin/env bats
# Real podman, runc, crun and criu, of a newer Debian suite, in a root of their own: tests/lib/containers. Every
# command of docs/containers.md is run here.

load common

setup_file() {
    [ "$(id -u)" = 0 ] || skip "needs root"
    if ! "$SRC/tests/lib/containers" tree >"$BATS_FILE_TMPDIR/tree" 2>"$BATS_FILE_TMPDIR/reason"; then
        echo "no podman to be had: $(cat "$BATS_FILE_TMPDIR/reason")" >"$BATS_FILE_TMPDIR/none"
        return 0
    fi
}

setup() {
    [ ! -e "$BATS_FILE_TMPDIR/none" ] || skip "$(cat "$BATS_FILE_TMPDIR/none")"
    cd "$BATS_TEST_TMPDIR"
}

# on_machine: runs the script on stdin on a machine of its own; /test is this folder.
on_machine() {
    { echo 'set -eu; . /src/tests/lib/containers.bash'; cat; } >script
    timeout -s KILL 300 "$SRC/tests/lib/containers" run "$PWD" script >log 2>&1 </dev/null || {
        cat log
        return 1
    }
}

# migrate RUNTIME: from one machine to another, as the documentation says
migrate() {
    on_machine <<SH
begin $1
block first | sed '/^podman container checkpoint/i ready jobs' >steps
. /test/steps
SH
    has "$(cat log)" "/a " "/b "
    on_machine <<SH
image() { :; }
begin $1
commands second
finish jobs
SH
    has "$(cat log)" "/a " "/b "
}

# bats test_tags=quick
@test "containers: podman and runc, from one machine to another" {
    migrate runc
}

@test "containers: podman and crun, from one machine to another" {
    migrate crun
}

@test "containers: a second generation, where queues of the same names exist" {
    on_machine <<'SH'
begin
start jobs localhost/jobs
mqctl create /a --maxmsg 1 --msgsize 8
echo -n mine | mqctl send /a
for generation in 1 2; do
    podman container checkpoint --export jobs.tar jobs
    podman rm jobs
    podman container restore --import jobs.tar
    within 30 receiver_blocked jobs
    regroup jobs
done
finish jobs
is "$(mqctl recv /a)" mine
commands undo
SH
}

@test "containers: the original goes on, and its copy beside it" {
    on_machine <<'SH'
begin
start jobs localhost/jobs
commands copy
within 30 receiver_blocked jobs2
finish jobs2
receiver_blocked jobs
finish jobs
SH
}

@test "containers: a pod's shared namespace" {
    on_machine <<'SH'
begin
block pod | sed '/^podman container checkpoint/{
i ready worker
i podman run -d --pod site --name other localhost/jobs sh -c "while :; do sleep 1; done"
i queues other mqctl create /theirs --maxmsg 2 --msgsize 8
}
/^podman container restore/i echo -n new | queues other mqctl send /theirs' >steps
. /test/steps
within 30 receiver_blocked worker
is "$(stat -Lc %i /proc/$(pid_of worker)/ns/ipc)" "$(stat -Lc %i /proc/$(pid_of other)/ns/ipc)"
is "$(queues other mqctl recv /theirs)" new
finish worker
SH
}

@test "containers: a save that fails, a queue that is opened too late: the container goes on" {
    on_machine <<'SH'
begin
start jobs localhost/jobs
before_checkpoint <<'END'
mkdir -p "$image/mqueues.dump/in the way"
END
! podman container checkpoint --export jobs.tar jobs >why 2>&1 || exit 1
[ ! -e jobs.tar ]
receiver_blocked jobs
finish jobs
podman rm jobs

podman run -d --name jobs localhost/jobs sh -c 'until test -e /w/open; do sleep 0.1; done; exec criutree /a /b /w'
queues jobs mqctl create /early
before_checkpoint <<'END'
touch "/proc/$pid/root/w/open"
until [ -e "/proc/$pid/root/w/ready" ]; do sleep 0.1; done
END
! podman container checkpoint --export jobs.tar jobs >why 2>&1 || exit 1
ready jobs
rm /usr/local/sbin/crun
podman container checkpoint --export jobs.tar jobs
podman rm jobs
podman container restore --import jobs.tar
queues jobs mqpeek info /early
finish jobs
SH
}

@test "containers: a read-only root, and a container without queues" {
    on_machine <<'SH'
begin
start jobs --read-only --tmpfs /w localhost/jobs
podman run -d --name plain localhost/jobs sh -c 'while :; do sleep 1; done'
podman container checkpoint --export jobs.tar jobs
podman container checkpoint --export plain.tar plain
tar tf jobs.tar | grep mqueues.dump
! tar tf plain.tar | grep mqueues.dump || exit 1
podman rm jobs plain
podman container restore --import jobs.tar
podman container restore --import plain.tar
drain jobs
is "$(podman inspect --format '{{.State.Status}}' plain)" running
SH
}

@test "containers: a user namespace is refused when it is checkpointed" {
    on_machine <<'SH'
begin
start jobs --uidmap 0:10000:5000 localhost/jobs
! podman container checkpoint --export jobs.tar jobs >why 2>&1 || exit 1
cat why
grep 'user namespace' why
receiver_blocked jobs
SH
}

@test "containers: System V queues are restored as they were, or refused" {
    on_machine <<'SH'
begin
start jobs localhost/jobs
q=$(queues jobs mqctl create --sysv --key 0x4d51)
queues jobs mqctl set "$q" --owner 1000 --mode 620
echo -n first | queues jobs mqctl send "$q" --type 7
head -c 8192 /dev/zero | queues jobs mqctl send "$q" --type 3
look() { queues jobs mqpeek info -J "$q" | jq -c '.queues[0] | [.name, .key, .depth, .bytes, .limit, .uid, .cuid, .mode]'; }
before=$(look)
podman container checkpoint --export jobs.tar jobs
podman rm jobs
podman container restore --import jobs.tar
is "$(look)" "$before"
is "$(queues jobs mqctl recv "$q")" first
queues jobs mqctl set "$q" --limit 9000
! podman container checkpoint --export again.tar jobs >why 2>&1 || exit 1
grep "$q has a limit of 9000 bytes" why
finish jobs
SH
}
