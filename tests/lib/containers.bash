# For scripts in tests/lib/containers: the commands of docs/containers.md, and containers with queues.

block() { /src/tests/lib/readme block "$1" /src/docs/containers.md; }
commands() {
    local lines
    lines=$(block "$1")
    [ -n "$lines" ] && bash -euxc "$lines" </dev/null
}

# within SECONDS COMMAND…: repeats it until it succeeds.
within() {
    local end=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ "$SECONDS" -lt "$end" ] || { echo "still failing: $*"; return 1; }
        sleep 0.1
    done
}

is() { [ "$1" = "$2" ] || { echo "got:  $1"; echo "want: $2"; return 1; }; }

# The image, whose command makes three processes with queues; podman as the documentation sets it up.
begin() {
    image
    commands setup
    [ -z "${1-}" ] || echo "[engine]
runtime = \"$1\"" >/etc/containers/containers.conf.d/default.conf
    is "$(podman info --format '{{.Host.OCIRuntime.Path}}')" "/usr/local/bin/mq-${1-crun}"
}

image() { podman import --change 'CMD=["/bin/criutree","/a","/b","/w"]' /image.tar localhost/jobs >/dev/null 2>&1; }

pid_of() { podman inspect --format '{{.State.Pid}}' "$1"; }
queues() { nsenter -i -t "$(pid_of "$1")" "${@:2}"; }

# The receiver of the container's processes sleeps in mq_timedreceive, as the kernel tells.
receiver_blocked() {
    local child
    for child in $(pgrep -P "$(pid_of "$1")"); do
        read -r nr _ <"/proc/$child/syscall"
        [ "$nr" != 243 ] || return 0
    done
    return 1
}

ready() {
    within 30 podman exec "$1" test -e /w/ready
    within 30 receiver_blocked "$1"
}

start() {
    podman run -d --name "$@"
    ready "$1"
}

messages() { queues "$1" mqdump save /a | jq -r 'select(.type == "message") | "\(.priority):\(.text)"' | paste -sd,; }

# Every message in order through a shared descriptor, the blocked receiver wakes, the nameless queue.
finish() {
    is "$(messages "$1")" "9:high,9:high too,5:middle,1:low,0:"
    podman exec "$1" touch /w/go
    within 30 podman exec "$1" test -e /w/drained
    echo -n 'wake up' | queues "$1" mqctl send -p 4 /b
    within 30 ended "$1"
    rm -rf out
    podman cp "$1:/w" out
    is "$(paste -sd, out/drained)" "9:high,9:high too,5:middle,1:low,0:"
    is "$(cat out/received) $(cat out/nameless)" "4:wake up 3:nobody knows"
}

ended() { [ "$(podman inspect --format '{{.State.Status}}' "$1")" = exited ]; }

# What the shared descriptor's process received, while the container goes on.
drain() {
    is "$(messages "$1")" "9:high,9:high too,5:middle,1:low,0:"
    podman exec "$1" touch /w/go
    within 30 podman exec "$1" test -e /w/drained
    is "$(podman exec "$1" cat /w/drained | paste -sd,)" "9:high,9:high too,5:middle,1:low,0:"
}

# before_checkpoint: the lines on stdin run when podman has the runtime checkpoint; $image and $pid are set
before_checkpoint() {
    {
        cat <<'SH'
#!/bin/bash
real=/usr/bin/crun
case " $* " in
*" checkpoint --image-path "*)
    for word; do
        [ "${last-}" != --image-path ] || image=$word
        last=$word
    done
    pid=$($real state "$last" | jq .pid)
SH
        cat
        echo ';; esac'
        echo 'exec $real "$@"'
    } >/usr/local/sbin/crun
    chmod +x /usr/local/sbin/crun
}

# Where criu leaves control groups alone only the first process of what it restores is in its container's: a runtime
# would not freeze the others at the next checkpoint.
regroup() {
    local child first
    first=$(pid_of "$1")
    for child in $(pgrep -P "$first"); do
        echo "$child" >"/sys/fs/cgroup$(sed -n 's/^0:://p' "/proc/$first/cgroup")/cgroup.procs"
    done
}
