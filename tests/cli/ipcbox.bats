#!/usr/bin/env bats
# ipcbox itself: applets by name and by link, help, install.

load common
load screen

teardown() { screen_stop; }

@test "ipcbox: every applet is listed, sorted, and has help that fits a screen" {
    expect 0 ipcbox --list
    is "$out" "$(sort <<<"$out")"
    for applet in $out; do
        expect 0 ipcbox "$applet" --help
        [ "$(wc -l <<<"$out")" -le 24 ]
        [ -z "$(awk 'length > 80' <<<"$out")" ]
    done
}

@test "ipcbox: help without arguments, with help, for a verb" {
    expect 0 ipcbox
    has "$out" "ipcbox APPLET"
    expect 0 ipcbox help install
    has "$out" "Usage: ipcbox install"
    expect 0 ipcbox install --help
    has "$out" "Usage: ipcbox install" "Columns:"
    expect 0 ipcbox --version
    has "$out" "ipcbox"
}

@test "ipcbox: a typo is answered with what was meant" {
    expect 2 ipcbox instal
    has "$err" 'did you mean "install"?'
    expect 2 ipcbox install --jsn /tmp
    has "$err" "did you mean --json?"
    expect 2 ipcbox install -Z /tmp
    has "$err" "no option -Z"
    expect 2 ipcbox install
    has "$err" "install needs DIR"
    expect 2 ipcbox install a b
    has "$err" '"b" is too much'
    expect 2 ipcbox install -o nope /tmp
    has "$err" 'no column "nope"'
    expect 2 ipcbox install -o +aplet /tmp
    has "$err" 'no column "aplet"; did you mean "applet"?'
    expect 2 ipcbox mqpek
    has "$err" 'did you mean "mqpeek"?'
    expect 2 ipcbox -J mqpeek /x
    has "$err" "write options after the applet's name: ipcbox mqpeek"
    expect 2 mqpeek help lits
    has "$err" 'did you mean "list"?'
}

@test "ipcbox: what a number may be is said as a user writes it" {
    expect 2 mqpeek top -d 0
    has "$err" "--delay: 0 is not between 0.1 and 3600 seconds"
    expect 2 mqdump replay --loop 0 "$BATS_TEST_TMPDIR/none"
    has "$err" "--loop: 0 is too small (at least 1)"
    expect 2 mqctl create --msgsize 3G /never
    has "$err" "--msgsize: 3G is not between 1 and 16M"
    for verb in follow peek; do
        expect 2 mqpeek $verb -p 99999 /never
        has "$err" "--priority: 99999 is too large (at most 32767)"
    done
    # An option that is not there may have taken the next word: which command it was is not known.
    expect 2 mqpeek --cont 1 /never
    has "$err" "no option --cont; did you mean --count? (try: mqpeek --help)"
    for run in "mqpeek top -b -N 1 -d .2" "mqpeek follow --all --timeout .2" "ipcbox stuck -w .1"; do
        # shellcheck disable=SC2086 # words
        "$IPCBOX" $run >"$BATS_TEST_TMPDIR/log" 2>&1 || [ $? = 1 ]
        [[ $(cat "$BATS_TEST_TMPDIR/log") != *"is not a number"* ]]
    done
}

@test "ipcbox: a column that is not there is answered with those that are" {
    expect 2 mqpeek list -o nope
    has "$err" 'there is no column "nope" (there are queue, name,' ", incomplete)"
    expect 2 mqpeek list --sort nope
    has "$err" '--sort: there is no column "nope" (there are queue, name,' ", incomplete)"
    expect 2 mqpeek list -o MSG
    has "$err" 'did you mean "MSGS"?'
    expect 0 mqpeek list -o QUEUE,msgs,Held --sort msgs
}

@test "ipcbox install: links once, leaves strangers alone" {
    dir=$BATS_TEST_TMPDIR/bin
    mkdir "$dir"
    expect 0 ipcbox install "$dir"
    for applet in $("$IPCBOX" --list); do
        [ "$(readlink "$dir/$applet")" = "$(realpath "$IPCBOX")" ]
        "$dir/$applet" --version
    done
    expect 0 ipcbox -J install "$dir"
    jq -e '.links | map(.state == "there already") | all' <<<"$out"
    for applet in $("$IPCBOX" --list); do
        rm "$dir/$applet"
        echo mine >"$dir/$applet"
    done
    if [ -n "$("$IPCBOX" --list)" ]; then
        expect 1 ipcbox install "$dir"
        has "$err" "there is something else of that name"
        is "$(cat "$dir/$("$IPCBOX" --list | head -n 1)")" mine
    fi
    expect 3 ipcbox install "$BATS_TEST_TMPDIR/none"
}

@test "ipcbox: output that cannot be written is an error, a reader that leaves is none" {
    expect 1 sh -c '"$IPCBOX" -J install "$1" >/dev/full' sh "$BATS_TEST_TMPDIR"
    has "$err" "No space left on device"
    expect 1 sh -c '"$IPCBOX" -J install "$1" >&-' sh "$BATS_TEST_TMPDIR"
    has "$err" "cannot write"
    for out in /dev/full '&-'; do
        expect 1 sh -c "\"\$IPCBOX\" --list >$out"
        has "$err" "ipcbox: cannot write the output: "
    done
    expect 0 bash -c 'set -o pipefail; "$IPCBOX" install --help | true'
    is "$err" ""
}

@test "ipcbox: colours on a terminal, unless NO_COLOR or --color says otherwise" {
    dir=$BATS_TEST_TMPDIR
    bold=$'\e[1m'
    expect 0 ipcbox install "$dir"
    [[ "$out" != *$'\e'* ]]
    expect 0 env NO_COLOR=1 "$IPCBOX" install --color always "$dir"
    [[ "$out" == *"$bold"* ]]
    on_terminal() {
        screen_start 80 20 "$1 '$IPCBOX' install $2 '$dir'"
        see status=0
        shown=$(tm capture-pane -pe)
        screen_stop
    }
    on_terminal "" ""; [[ "$shown" == *"$bold"* ]]
    on_terminal NO_COLOR=1 ""; [[ "$shown" != *"$bold"* ]]
    on_terminal NO_COLOR= ""; [[ "$shown" == *"$bold"* ]]
    on_terminal "" "--color never"; [[ "$shown" != *"$bold"* ]]
    on_terminal TERM=dumb ""; [[ "$shown" != *"$bold"* ]]
}

@test "ipcbox: options anywhere behind the applet, until --" {
    dir=$BATS_TEST_TMPDIR
    mkdir "$dir/-J"
    cd "$dir"
    for words in "-J install $dir" "install -J $dir" "install $dir -J" "install $dir --json"; do
        # shellcheck disable=SC2086 # words
        expect 0 ipcbox $words
        jq -e '.links | length > 0' <<<"$out"
    done
    expect 0 ipcbox install -- -J
    has "$out" APPLET made
    [ -L "$dir/-J/mqpeek" ]
}
