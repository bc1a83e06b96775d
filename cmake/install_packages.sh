#!/usr/bin/env bash
# Installs those of the listed Debian packages that are not there yet: cmake/install_packages.sh FILE...
# Each FILE names one package a line; # begins a comment. Needs root or sudo only when something is missing.
set -euo pipefail

[ $# -gt 0 ] || { echo "usage: install_packages.sh FILE..." >&2; exit 2; }
command -v dpkg-query > /dev/null || {
  echo "install_packages.sh: this is no Debian machine; install what $* list by other means" >&2
  exit 1
}
wanted=$(sed 's/#.*//' "$@" | xargs)
# shellcheck disable=SC2086 # a list of words
missing=$({ dpkg-query -W -f='${Package} ${db:Status-Status}\n' $wanted 2> /dev/null || true; } |
  awk -v wanted="$wanted" '
    $2 == "installed" { have[$1] = 1 }
    END { n = split(wanted, w, " "); for (i = 1; i <= n; ++i) if (!(w[i] in have)) print w[i] }' | xargs)
[ -n "$missing" ] || { echo "all packages are installed"; exit 0; }

echo "installing: $missing"
sudo=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo > /dev/null || { echo "install_packages.sh: not root and no sudo: install $missing" >&2; exit 1; }
  sudo=(sudo)
fi
"${sudo[@]}" apt-get update -q
# shellcheck disable=SC2086 # a list of words
"${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $missing
