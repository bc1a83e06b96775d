#!/usr/bin/env bash
# run.sh SCRIPT [ARGUMENT...]: runs a Python script in build/venv-clients, or in the environment that SDAR_CLIENTS_VENV
# names. If there is none it says so and exits with 77, which ctest counts as skipped.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
venv=${SDAR_CLIENTS_VENV:-$root/build/venv-clients}

if [ ! -f "$venv/made-from" ]; then
  echo "skipped: there is no ${venv#"$root/"}; tests/clients/make_venv.sh makes it"
  exit 77
fi
export PATH=$venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONPYCACHEPREFIX=$venv/pycache
export PYTHONPATH=$root/tests/python:$root/tests/clients
exec "$venv/bin/python" "$@"
