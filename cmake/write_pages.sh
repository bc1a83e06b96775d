#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# write_pages.sh PROGRAM DATE PAGE COMPLETION: writes the program's man page, compressed, and its completion for bash.
set -euo pipefail
program=$1 date=$2 page=$3 completion=$4

mkdir -p "$(dirname "$page")" "$(dirname "$completion")"
"$program" --man-page="$date" | gzip -9n > "$page"
"$program" --bash-completion > "$completion"
