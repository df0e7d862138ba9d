#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# A kernel without BTF, and the file that takes its place.
load common

setup()
{
    q=/$(unique)
    small=$BATS_TEST_TMPDIR/small.btf
    "$IPCBOX" btf /sys/kernel/btf/vmlinux -O "$small"
    "$HELPERS/mqmake" "$q" 10 64 1:hello
}

teardown() { "$HELPERS/mqmake" -u "$q" || true; }

# without_btf FILE COMMAND…: as on a kernel without BTF, with FILE (or -, for none) where it is looked for
without_btf()
{
    # shellcheck disable=SC2016 # expanded inside
    unshare -m --propagation private bash -c '
        set -e
        mount -t tmpfs none /sys/kernel
        mount -t tmpfs none /mnt
        mkdir -p /mnt/upper/ipcbox/btf /mnt/work
        mount -t overlay -o lowerdir=/usr/lib,upperdir=/mnt/upper,workdir=/mnt/work none /usr/lib
        [ "$1" = - ] || cp -p "$1" "/usr/lib/ipcbox/btf/$(uname -r).btf"
        shift
        exec "$@"' bash "$@"
}

@test "btf: the part that is needed" {
    [ "$(stat -c %s "$small")" -lt 100000 ]
    bpftool btf dump file "$small" format raw | grep "STRUCT 'mqueue_inode_info'"
    "$IPCBOX" btf /sys/kernel/btf/vmlinux | cmp - "$small"
    expect 1 "$IPCBOX" btf "$IPCBOX"
    has "$err" "not a raw BTF file" pahole
    expect 3 "$IPCBOX" btf /nonexistent
    has "$err" "No such file"
    head -c 100 "$small" >"$BATS_TEST_TMPDIR/short"
    expect 1 "$IPCBOX" btf "$BATS_TEST_TMPDIR/short"
    has "$err" "not a raw BTF file"
}

@test "btf: peek, info and follow on a kernel without BTF" {
    expect 4 without_btf - "$IPCBOX" mqpeek "$q"
    has "$err" "no BTF of the kernel" "ipcbox btf"
    expect 0 without_btf "$small" "$IPCBOX" mqpeek "$q"
    has "$out" hello verified
    expect 0 without_btf "$small" "$IPCBOX" mqpeek info "$q"
    expect 0 without_btf "$small" bash -c '
        "$IPCBOX" mqpeek follow -N 1 --timeout 20 --jsonl "$1" &
        for i in {1..40}; do
            sleep 0.2
            kill -0 $! 2>/dev/null || break
            echo "send 1 again" | timeout 1 "$HELPERS/mqactor" send "$1"
        done
        wait $!' bash "$q"
    has "$out" send again
}

@test "btf: a file that others can write to is not used" {
    chmod 666 "$small"
    expect 4 without_btf "$small" "$IPCBOX" mqpeek "$q"
    has "$err" "no BTF of the kernel"
}

@test "btf: the file of another kernel is refused" {
    # Every member of struct inode stands eight bytes farther.
    python3 - "$small" "$BATS_TEST_TMPDIR/foreign" <<'EOF'
import struct, sys
b = bytearray(open(sys.argv[1], "rb").read())
header, types, strings = struct.unpack_from("<4xI4xII", b)
at, end = header, header + types
parts = {1: (4, 0), 3: (12, 0), 4: (0, 12), 5: (0, 12), 6: (0, 8), 19: (0, 12)}
while at < end:
    name, info = struct.unpack_from("<II", b, at)
    kind, n = info >> 24 & 31, info & 0xffff
    fixed, part = parts.get(kind, (0, 0))
    if kind == 4 and b[header + strings + name :].startswith(b"inode\0"):
        for i in range(n):
            where = at + 12 + i * 12 + 8
            struct.pack_into("<I", b, where, struct.unpack_from("<I", b, where)[0] + 64)
    at += 12 + fixed + part * n
open(sys.argv[2], "wb").write(b)
EOF
    expect 1 without_btf "$BATS_TEST_TMPDIR/foreign" "$IPCBOX" mqpeek "$q"
    is "$out" ""
    has "$err" "what BPF read is not this queue"
    expect 1 without_btf "$BATS_TEST_TMPDIR/foreign" "$IPCBOX" mqpeek follow --timeout 5 "$q"
    has "$err" "the BTF is that of another kernel"
}
