#!/usr/bin/env bash
# run.sh SCRIPT [ARGUMENT...]: runs a Python script in build/venv, or says that there is none and exits with 77,
# which ctest counts as skipped.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

if [ ! -f "$root/build/venv/made-from" ]; then
  echo "skipped: there is no build/venv; tests/python/make_venv.sh makes it"
  exit 77
fi
export PATH=$root/build/venv/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 PYTHONPATH=$root/tests/python
exec "$root/build/venv/bin/python" "$@"
