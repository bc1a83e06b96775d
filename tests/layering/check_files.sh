#!/usr/bin/env bash
# The shape of every source file, and of the Python package's: its licence line, its include guard, and a length one can
# read at a sitting; and how many files lie in a folder:
#   tests/layering/check_files.sh [ROOT]
set -euo pipefail

root=${1:-$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)}
cd "$root"

max_source=400 # lines; also of headers that hold code to be compiled several times, and of headers of tests
max_header=200
max_files=35 # in a folder, of any kind; tests and proto have as many as there are
bad=0
complain() {
  echo "$1: $2"
  bad=1
}

while IFS= read -r path; do
  file=${path#./}
  IFS= read -r first < "$file" || true
  [ "$first" = "// SPDX-License-Identifier: Apache-2.0" ] || complain "$file" "the first line is not the SPDX line"
  lines=$(wc -l < "$file")
  limit=$max_source
  case $file in
    tests/*.h | *-inl.h | *.cuh) ;;
    *.h) limit=$max_header ;;
  esac
  [ "$lines" -le "$limit" ] || complain "$file" "$lines lines, at most $limit"
  case $file in
    *-inl.h) ;; # included several times on purpose
    *.h | *.cuh) grep -qx '#pragma once' "$file" || complain "$file" "no #pragma once" ;;
  esac
done < <(find . \( -path ./build -o -path './.*' \) -prune -o -type f \
  \( -name '*.h' -o -name '*.cc' -o -name '*.cu' -o -name '*.cuh' -o -name '*.proto' \) -print | sort)

while IFS= read -r file; do
  IFS= read -r first < "$file" || true
  [ "$first" = "# SPDX-License-Identifier: Apache-2.0" ] || complain "$file" "the first line is not the SPDX line"
  lines=$(wc -l < "$file")
  [ "$lines" -le "$max_source" ] || complain "$file" "$lines lines, at most $max_source"
done < <(find python -name '*.py' -not -path 'python/build/*' -not -path 'python/src/sdar/v1/*' 2> /dev/null | sort)

while read -r files folder; do
  [ "$files" -le "$max_files" ] || complain "$folder" "$files files, at most $max_files"
done < <(find bench common examples kernels launcher parallel python runtime -type f -not -path 'python/build/*' \
  -not -path 'python/src/sdar.egg-info/*' -printf '%h\n' 2> /dev/null | sort | uniq -c)
exit "$bad"
