#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
#
#   bpf-names.sh BPFTOOL HEADER OBJECT...
# Writes the names of the structures, unions and enums in BPF objects as a list of C strings. What follows
# three underscores in a name is this tree's own, and not the kernel's.
set -eu
bpftool=$1 header=$2
shift 2
mkdir -p "$(dirname "$header")"
for object; do
    "$bpftool" btf dump file "$object" format raw
done | sed -nE "s/^\[[0-9]+\] (STRUCT|UNION|ENUM|ENUM64) '([^']+)'.*/\2/p" | sed 's/\(.\)___.*/\1/' |
    grep -v '^(anon)$' | LC_ALL=C sort -u | sed 's/.*/"&",/' >"$header.new"
[ -s "$header.new" ]
mv "$header.new" "$header"
