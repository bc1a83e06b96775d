#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# use_snapshot.sh MOMENT [ROOT]: makes apt take Debian 12 as it was at a moment, such as 20261101T000000Z, from
# snapshot.debian.org. An empty moment changes nothing.
set -euo pipefail
moment=$1 root=${2:-}

[ -n "$moment" ] || exit 0
[[ $moment =~ ^[0-9]{8}T[0-9]{6}Z$ ]] || {
  echo "use_snapshot.sh: '$moment' is no moment such as 20261101T000000Z" >&2
  exit 2
}
archive=http://snapshot.debian.org/archive
rm -f "$root/etc/apt/sources.list.d/debian.sources"
cat > "$root/etc/apt/sources.list" << END
deb $archive/debian/$moment bookworm main
deb $archive/debian/$moment bookworm-updates main
deb $archive/debian-security/$moment bookworm-security main
END
# A snapshot's index says until when it was valid; the packages stay signed.
echo 'Acquire::Check-Valid-Until "false";' > "$root/etc/apt/apt.conf.d/80snapshot"
