#!/usr/bin/env bash
# make_venv.sh [VENV REQUIREMENTS]: makes a virtual environment of third-party clients. Without arguments it makes
# build/venv-clients from requirements.txt. Where no package index can be reached it says so and counts as passed: the
# tests then say that they are skipped.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

venv=${1:-build/venv-clients}
requirements=${2:-tests/clients/requirements.txt}
stamp=$venv/made-from

made_from=$({ python3 --version; cat "$requirements" tests/clients/make_venv.sh; } | sha256sum)
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$made_from" ]; then
  echo "clients' environment: $venv is up to date"
  exit 0
fi
rm -rf "$venv"
python3 -m venv "$venv"

# Compiling all of it would double its size; Python compiles what is imported.
quiet=(--quiet --disable-pip-version-check --retries 2 --timeout 30)
if ! "$venv/bin/pip" install "${quiet[@]}" --no-compile -r "$requirements"; then
  rm -rf "$venv"
  echo "clients' environment: no package index could be reached; tests of clients will be skipped"
  exit 0
fi
echo "$made_from" > "$stamp"
echo "clients' environment: made $venv, $(du -sm "$venv" | cut -f1) MB"
