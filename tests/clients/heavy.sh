#!/usr/bin/env bash
# heavy.sh [CLIENT...]: tries the clients of heavy/, whose packages are too large for ./test.sh, and prints a line for
# each. Each has an environment of its own in build/venv-clients-heavy, because they need different versions of the same
# packages. All environments take 8 GB. SDAR_BIN_DIR is the folder of sdar-serve (default: build/release/bin).
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$root"
here=tests/clients
export SDAR_SOURCE_DIR=$root SDAR_BIN_DIR=${SDAR_BIN_DIR:-$root/build/release/bin}

# try CLIENT
try() {
  local requirements=$here/heavy/requirements/$1.txt log=build/venv-clients-heavy/$1.log
  local name status=0
  name=$(head -1 "$requirements")
  export SDAR_CLIENTS_VENV=$root/build/venv-clients-heavy/$1
  "$here/make_venv.sh" "$SDAR_CLIENTS_VENV" "$requirements" > "$log" 2>&1
  "$here/run.sh" -W ignore "$here/heavy/$1_check.py" >> "$log" 2>&1 || status=$?
  case $status in
    0) echo "$name: passed, $(sed -n 's/^Ran \([0-9]* tests\?\) .*/\1/p' "$log")" ;;
    77) echo "$name: skipped: no package index could be reached" ;;
    *) echo "$name: FAILED, see $log" && return 1 ;;
  esac
}

mkdir -p build/venv-clients-heavy
if [ $# -eq 0 ]; then
  for file in "$here"/heavy/*_check.py; do set -- "$@" "$(basename "$file" _check.py)"; done
fi
failed=0
for client in "$@"; do try "$client" || failed=1; done
exit "$failed"
