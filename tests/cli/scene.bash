# The queues of tests/helpers/mqscene.c. For bats files: load scene
#
# scene_start makes them: $scene is the prefix, $want what the helper says of them. In teardown:
# scene_stop.

scene_start() {
    scene=$(unique "${1:-scene}")
    "$HELPERS/mqscene" "$scene" >"$BATS_TEST_TMPDIR/scene" 3>&- &
    scene_pid=$!
    within 60 test -s "$BATS_TEST_TMPDIR/scene"
    want=$(cat "$BATS_TEST_TMPDIR/scene")
    jq -e . <<<"$want" >/dev/null
}

scene_stop() {
    if [ -n "${scene_pid-}" ]; then
        kill "$scene_pid" 2>/dev/null || true
        wait "$scene_pid" 2>/dev/null || true
    fi
}

# wanted FILTER: a value of what the helper said
wanted() { jq -r "$1" <<<"$want"; }

# In namespaces of its own, where everything can be seen: IPC, mounts, processes.
alone() { unshare -i -m -p -f --mount-proc --kill-child "$@"; }

# alone sh -c "$with_mqueue" DIR COMMAND…: mounts the queues of the IPC namespace at /dev/mqueue,
# whether there is such a folder or not. DIR is a scratch folder.
with_mqueue='
    mkdir -p "$0/mqueue" && : >"$0/null" && mount --bind /dev/null "$0/null" &&
    mount -t mqueue none "$0/mqueue" && mount --rbind "$0" /dev && exec "$@"'
