#!/usr/bin/env bats
# Every command of the README. What it says of installing is tried by tests/newcomer, of CRIU by dump-criu.

load common

@test "readme: every transcript is what the commands print" {
    mkdir "$BATS_TEST_TMPDIR/bin" "$BATS_TEST_TMPDIR/work"
    ln -s "$IPCBOX" "$BATS_TEST_TMPDIR/bin/ipcbox"
    ipcbox install "$BATS_TEST_TMPDIR/bin"
    cd "$BATS_TEST_TMPDIR/work"
    PATH=$BATS_TEST_TMPDIR/bin:$PATH expect 0 "$SRC/tests/lib/readme" run
    is "$out" ""
}

@test "readme: a transcript that is wrong is found" {
    mkdir -p "$BATS_TEST_TMPDIR/src/tests/lib" "$BATS_TEST_TMPDIR/bin"
    ln -s "$IPCBOX" "$BATS_TEST_TMPDIR/bin/ipcbox"
    ipcbox install "$BATS_TEST_TMPDIR/bin"
    cp "$SRC/tests/lib/readme" "$BATS_TEST_TMPDIR/src/tests/lib/"
    sed '/^\$/!s/page the operator/page the orator/; s/order 1[34]$/order/' "$SRC/README.md" >"$BATS_TEST_TMPDIR/src/README.md"
    cd "$BATS_TEST_TMPDIR"
    PATH=$BATS_TEST_TMPDIR/bin:$PATH expect 1 src/tests/lib/readme run
    is "$(grep -c '^README: ' <<<"$out")" 4
}
