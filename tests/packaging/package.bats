#!/usr/bin/env bats
# The binary as it is shipped, what an installation holds, and the Debian package.

load ../cli/common

build=${IPCBOX_BUILD:?the build directory}

setup_file() {
    cd "$IPCBOX_BUILD" || return 1
    unset SOURCE_DATE_EPOCH
    cpack -B "$BATS_FILE_TMPDIR/deb" >"$BATS_FILE_TMPDIR/cpack.log" 2>&1 ||
        { cat "$BATS_FILE_TMPDIR/cpack.log"; return 1; }
}

deb() { echo "$BATS_FILE_TMPDIR"/deb/*.deb; }

# every_object_has PATTERN FILE…: in the notes of each
every_object_has() {
    local pattern=$1 object
    shift
    for object; do
        readelf -nW "$object" | grep -q "$pattern" || { echo "$object has no $pattern"; return 1; }
    done
}

@test "binary: PIE, full RELRO, a stack that cannot be executed, no text relocations, no run path" {
    expect 0 readelf -hlWd "$IPCBOX"
    has "$out" "DYN (Position-Independent Executable file)" "GNU_RELRO" "BIND_NOW" "NOW PIE"
    grep -Eq 'GNU_STACK .* RW +0x' <<<"$out"
    # No segment is writable and executable.
    [ -z "$(grep -E 'LOAD .* (RWE|WE) ' <<<"$out")" ]
    for tag in TEXTREL RPATH RUNPATH; do
        [[ "$out" != *"$tag"* ]]
    done
}

@test "binary: stack protector, _FORTIFY_SOURCE, probes of large stack frames" {
    expect 0 readelf -W --dyn-syms "$IPCBOX"
    has "$out" __stack_chk_fail __snprintf_chk __vsnprintf_chk __memcpy_chk
    # A frame of more than a page is touched page by page.
    objdump -d --no-show-raw-insn "$IPCBOX" >"$BATS_TEST_TMPDIR/code"
    case $(uname -m) in
    x86_64) grep -A 1 'sub  *\$0x1000,%rsp' "$BATS_TEST_TMPDIR/code" | grep -q 'or.*\$0x0,(%rsp)' ;;
    aarch64) grep -A 1 'sub.*sp, sp, #.*lsl #12' "$BATS_TEST_TMPDIR/code" | grep -q 'str.*xzr' ;;
    *) false ;;
    esac
}

# The linker marks a program only when all of it is built so, which Debian's C library is not: that
# every part of ours is, is what can be told.
@test "binary: every object is built for indirect branch tracking and shadow stacks, or their like" {
    mapfile -t objects < <(find "$build/lib" "$build/cmd" -name '*.c.o')
    [ "${#objects[@]}" -gt 100 ]
    case $(uname -m) in
    x86_64) every_object_has 'IBT, SHSTK' "${objects[@]}" ;;
    aarch64) every_object_has 'BTI, PAC' "${objects[@]}" ;;
    *) false ;;
    esac
}

@test "install: the whole tree under a prefix of one's choice, and links that hold when it is moved" {
    DESTDIR=$BATS_TEST_TMPDIR/root expect 0 cmake --install "$build" --prefix /opt/ipcbox
    mv "$BATS_TEST_TMPDIR/root/opt/ipcbox" "$BATS_TEST_TMPDIR/moved"
    cd "$BATS_TEST_TMPDIR/moved"
    for applet in $("$IPCBOX" --list) ipcbox; do
        expect 0 "bin/$applet" --version
        has "$out" "$applet" "$(sed -n 's/^project(ipcbox VERSION \([0-9.]*\).*/\1/p' "$SRC/CMakeLists.txt")"
        [ -f "share/man/man1/$applet.1" ]
        [ -f "share/bash-completion/completions/$applet" ]
        [ -f "share/fish/vendor_completions.d/$applet.fish" ]
        grep -q "^#compdef.* $applet\>" share/zsh/site-functions/_ipcbox
    done
    [ -f share/man/man7/ipcbox-json.7 ]
    cmp share/doc/ipcbox/LICENSE "$SRC/LICENSE"
    # The unit starts what was installed.
    grep -qx 'ExecStart=/opt/ipcbox/bin/ipcbox b1ctl serve /dev/bus1' lib/systemd/system/b1ctl.service
    is "$(find . -type f ! -path './bin/*' ! -path './lib/systemd/*' ! -path './share/*')" ""
    # Nothing was left in the real prefix, nothing refers to where it was built.
    [ ! -e /opt/ipcbox ]
    expect 1 grep -rlF "$SRC" .
}

@test "install: all that was written stands in the manifest, so that it can be removed again" {
    expect 0 cmake --install "$build" --prefix "$BATS_TEST_TMPDIR/prefix"
    while IFS= read -r file || [ -n "$file" ]; do
        rm "$file"
    done <"$build/install_manifest.txt"
    is "$(find "$BATS_TEST_TMPDIR/prefix" ! -type d)" ""
}

@test "deb: lintian has nothing to say but what the overrides explain" {
    # The exit status would count overrides too.
    expect 0 lintian --allow-root --display-info --show-overrides --fail-on none "$(deb)"
    is "$(grep -v '^[ON]:' <<<"$out")" ""
    # Every override is of use, and each has its reason above it.
    is "$(grep -c '^O:' <<<"$out")" "$(grep -c '^ipcbox:' "$SRC/cmake/debian/lintian-overrides")"
    head -n 1 "$SRC/cmake/debian/lintian-overrides" | grep -q '^# '
}

@test "deb: what it says of itself" {
    field() { dpkg-deb -f "$(deb)" "$1"; }
    is "$(field Package)" ipcbox
    is "$(field Section)" utils
    is "$(field Architecture)" "$(dpkg --print-architecture)"
    has "$(field Maintainer)" "@"
    has "$(field Depends)" "libc6 (>=" "libfuse3" "libedit2"
    [ "$(field Description | wc -l)" -gt 5 ]
    # The package's time is that of the release, whenever it is built.
    date=$(sed -n 's/^set(IPCBOX_DATE \(.*\))/\1/p' "$SRC/CMakeLists.txt")
    [ -z "$(dpkg-deb -c "$(deb)" | grep -v " $date 00:00 ")" ]
    [ -z "$(dpkg-deb -c "$(deb)" | grep -v ' root/root ')" ]
}

@test "deb: unpacked, it runs; manual pages, completions, unit and licence are there" {
    root=$BATS_TEST_TMPDIR/root
    dpkg-deb -x "$(deb)" "$root"
    cd "$root/usr"
    for applet in $("$IPCBOX" --list) ipcbox; do
        expect 0 "bin/$applet" --version
        has "$out" "$applet"
        expect 0 env MANPAGER=cat MANWIDTH=80 man -l "share/man/man1/$applet.1.gz"
        has "$out" NAME SYNOPSIS "$applet"
    done
    expect 0 env MANPAGER=cat man -l share/man/man7/ipcbox-json.7.gz
    expect 0 bash -c 'set -e
        source share/bash-completion/completions/mqpeek
        complete -p mqpeek ipcbox uringipc
        PATH=$PWD/bin:$PATH COMP_LINE="mqpeek fol" COMP_POINT=10
        _ipcbox mqpeek fol mqpeek
        echo "${COMPREPLY[@]}"'
    has "$out" follow
    [ -f share/zsh/vendor-completions/_ipcbox ]
    [ ! -e share/zsh/site-functions ]
    grep -qx 'ExecStart=/usr/bin/ipcbox b1ctl serve /dev/bus1' lib/systemd/system/b1ctl.service
    gzip -dc share/doc/ipcbox/changelog.gz | cmp - "$SRC/CHANGELOG.md"
    has "$(cat share/doc/ipcbox/copyright)" "LGPL-2.1+" "common-licenses/LGPL-2.1"
    # Stripped, of the same code.
    [ "$(stat -c %s bin/ipcbox)" -lt "$(stat -c %s "$IPCBOX")" ]
    expect 1 grep -q '\.debug_info' <(readelf -SW bin/ipcbox)
}

@test "SECURITY.md: every test that it names is there" {
    tr '\n' ' ' <"$SRC/SECURITY.md" | grep -oE 'tests/[a-z0-9_/.-]+(: "[^"]*")?' >"$BATS_TEST_TMPDIR/named"
    [ "$(grep -c '"' "$BATS_TEST_TMPDIR/named")" -gt 10 ]
    while IFS= read -r line; do
        file=${line%%: \"*}
        [ -e "$SRC/${file%.}" ] || { echo "no $file"; return 1; }
        [[ "$line" != *\"* ]] || grep -qF "@test ${line#*: } {" "$SRC/$file" || { echo "no $line"; return 1; }
    done <"$BATS_TEST_TMPDIR/named"
}

@test "package: Installed-Size is what the files take" {
    mkdir "$BATS_TEST_TMPDIR/x"
    dpkg-deb -x "$(deb)" "$BATS_TEST_TMPDIR/x"
    size=$(dpkg-deb -f "$(deb)" Installed-Size)
    taken=$(du -sk --apparent-size "$BATS_TEST_TMPDIR/x" | cut -f 1)
    [ $((size * 10)) -ge $((taken * 8)) ] && [ $((size * 10)) -le $((taken * 12)) ]
}
