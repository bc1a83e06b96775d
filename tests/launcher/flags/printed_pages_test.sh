#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# printed_pages_test.sh PROGRAM: the man page that the program prints has every flag of its help and no mistake in its
# language, and bash can read the completion that it prints, which completes every flag.
set -euo pipefail
program=$1
name=$(basename "$program")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() {
  echo "$name: $*" >&2
  exit 1
}

"$program" --help > "$work/help"
"$program" --man-page=2026-01-02 > "$work/$name.1"
"$program" --bash-completion > "$work/completion"
mapfile -t flags < <(grep -oE '^ +(-h \[ )?--[a-z0-9-]+' "$work/help" | grep -oE -- '--[a-z0-9-]+')
[ ${#flags[@]} -gt 2 ] || fail "the help lists ${#flags[@]} flags"

bash -uc '
  . "$1"
  for flag in "${@:2}"; do
    COMP_WORDS=("${1##*/}" "$flag") COMP_CWORD=1
    "_${0//-/_}"
    [[ " ${COMPREPLY[*]/%=/} " == *" $flag "* ]] || { echo "not completed: $flag" >&2; exit 1; }
  done' "$name" "$work/completion" "${flags[@]}" || fail "the completion does not work"

command -v man > /dev/null || { echo "skipped: man-db is missing (packages-full.txt)"; exit 77; }
LC_ALL=C.UTF-8 MANWIDTH=200 MANROFFSEQ='' man --warnings -E UTF-8 -l -P cat "$work/$name.1" \
  > "$work/page" 2> "$work/warnings" || fail "man cannot read the page: $(cat "$work/warnings")"
[ ! -s "$work/warnings" ] || fail "man warns: $(cat "$work/warnings")"
for heading in NAME SYNOPSIS DESCRIPTION OPTIONS 'EXIT STATUS' 'SEE ALSO'; do
  grep -qx "$heading" "$work/page" || fail "the page has no $heading"
done
for flag in "${flags[@]}"; do
  grep -qE -- "^ +(-h, )?$flag\\b" "$work/page" || fail "the page lacks $flag"
done
if command -v mandoc > /dev/null; then
  mandoc -T lint -W warning "$work/$name.1" || fail "mandoc finds mistakes in the page"
fi
