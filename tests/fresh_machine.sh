#!/usr/bin/env bash
# Builds the programs and a test on a bare Debian 12 that holds packages.txt and nothing else, and runs some of them. All
# targets are configured there, so that a package that one of them asks for is missed.
# Needs root and mmdebstrap; without them it says so and counts as passed. The bare root takes its packages from
# where this machine's apt does. Objects come from this machine's ccache where they are the same: the checkout
# lies at the same path there, and the compiler is the same package.
set -euo pipefail

skip() {
  echo "fresh machine: skipped: $*"
  exit 0
}

if [ "${SDAR_FRESH_INSIDE:-}" != 1 ]; then
  [ "$(id -u)" -eq 0 ] || skip "not root"
  command -v mmdebstrap > /dev/null || skip "mmdebstrap is missing (packages-full.txt)"
  unshare --mount --pid --fork true 2> /dev/null || skip "this machine lets nobody mount"
  fresh=$(mktemp -d)
  trap 'rm -rf --one-file-system "$fresh"' EXIT
  trap 'exit 143' INT TERM # after the rest, which the same signal ends
  chmod 755 "$fresh"
  # Mounts and processes of the rest end with it, whatever happens.
  SDAR_FRESH_INSIDE=1 unshare --mount --pid --fork --kill-child --propagation private "$0" "$fresh"
  exit
fi

trap 'exit 143' INT TERM # the first process of a namespace ignores them otherwise
fresh=$1
checkout=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$checkout"
jobs=${SDAR_JOBS:-$(nproc)}

# Packages of Debian bookworm only, from the mirrors this machine is set up with.
# shellcheck disable=SC2016 # apt expands the names
mapfile -t sources < <(apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' |
  awk '$2 ~ /^bookworm(-updates|-security)?$/ && $3 == "main" { print "deb", $1, $2, $3 }' | sort -u)
[ ${#sources[@]} -gt 0 ] || skip "apt has no Debian 12 source here"
packages=$(sed 's/#.*//' packages.txt | xargs | tr ' ' ',')

begin=$SECONDS
mmdebstrap --quiet --mode=root --variant=minbase --include="$packages" bookworm "$fresh/root" "${sources[@]}"
echo "fresh machine: bare root with packages.txt after $((SECONDS - begin)) s"

mkdir -p "$fresh/root$checkout"
git ls-files -z | tar --create --null --files-from=- | tar --extract --directory="$fresh/root$checkout"
mount -t proc proc "$fresh/root/proc"
mount -t tmpfs tmpfs "$fresh/root/dev"
for device in null zero full random urandom; do
  : > "$fresh/root/dev/$device"
  mount --bind "/dev/$device" "$fresh/root/dev/$device"
done
cache=$(ccache --get-config cache_dir 2> /dev/null || true)
if [ -n "$cache" ] && [ -d "$cache" ]; then
  mkdir -p "$fresh/root/ccache"
  mount --bind "$cache" "$fresh/root/ccache"
fi

# What names an object in the cache must be set as it is outside.
settings=(CCACHE_DIR=/ccache "CCACHE_MAXSIZE=$(ccache --get-config max_size 2> /dev/null || echo 5G)")
if base=$(ccache --get-config base_dir 2> /dev/null) && [ -n "$base" ]; then
  settings+=("CCACHE_BASEDIR=$base")
fi
[ "$(ccache --get-config hash_dir 2> /dev/null)" != false ] || settings+=(CCACHE_NOHASHDIR=1)
in_root() {
  env -i PATH=/usr/bin:/bin:/usr/sbin:/sbin HOME=/root LC_ALL=C.UTF-8 "${settings[@]}" \
    chroot "$fresh/root" bash -c "cd '$checkout' && $1"
}
in_root "cmake --preset release > configure.log 2>&1 || { tail -20 configure.log; exit 1; }"
echo "fresh machine: configured after $((SECONDS - begin)) s"
in_root "cmake --build --preset release -j $jobs --target sdar-serve sdar-tokenize sdar-checkpoint common_test > build.log 2>&1 ||
  { grep -A20 FAILED: build.log | head -60; exit 1; }"
echo "fresh machine: built after $((SECONDS - begin)) s"
in_root "build/release/bin/common_test --gtest_brief=1 && build/release/bin/sdar-tokenize --help > /dev/null && build/release/bin/sdar-checkpoint verify models/sdar-tiny"
echo "fresh machine: passed after $((SECONDS - begin)) s"
