#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# package_test.sh BUILD: makes the Debian packages of a build with cpack, installs `sdar` in a bare Debian 12 that holds
# its dependencies and man-db, and uses it there: starts the job as the systemd unit does, asks it over HTTP and gRPC,
# reads man pages, completes flags, and purges it.
# Needs root and mmdebstrap; without them it says so and counts as passed. The root takes its packages from where this
# machine's apt does.
# shellcheck disable=SC2016 # bash in the root, dpkg and apt expand what is in single quotes
set -euo pipefail

skip() {
  echo "package: skipped: $*"
  exit 0
}
fail() {
  echo "package: FAILED: $*" >&2
  exit 1
}

[ -f "${1:-}/CPackConfig.cmake" ] || { echo "usage: package_test.sh BUILD, which cmake has configured" >&2; exit 2; }
build=$(realpath "$1")

if [ "${SDAR_PACKAGE_INSIDE:-}" != 1 ]; then
  [ "$(id -u)" -eq 0 ] || skip "not root"
  command -v mmdebstrap > /dev/null || skip "mmdebstrap is missing (packages-full.txt)"
  unshare --mount --pid --net --fork true 2> /dev/null || skip "this machine has no namespaces to give"
  mapfile -t sources < <(apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' |
    awk '$2 ~ /^bookworm(-updates|-security)?$/ && $3 == "main" { print "deb", $1, $2, $3 }' | sort -u)
  [ ${#sources[@]} -gt 0 ] || skip "apt has no Debian 12 source here"
  work=$(mktemp -d)
  trap 'rm -rf --one-file-system "$work"' EXIT
  trap 'exit 143' INT TERM # after the rest, which the same signal ends
  chmod 755 "$work"

  mkdir "$work/packages"
  (cd "$build" && cpack -G DEB -B "$work/packages") > "$work/cpack.log" 2>&1 ||
    fail "cpack: $(tail -20 "$work/cpack.log")"
  rm -rf "$work/packages/_CPack_Packages"
  (cd "$work/packages" && du -h ./*.deb)
  echo "package: made after $SECONDS s"
  package=$(echo "$work"/packages/sdar_*.deb)

  depends=$(dpkg-deb --field "$package" Depends)
  for needed in openmpi-bin adduser libjemalloc2 libgrpc++1.51 libedit2 libc6; do
    [[ ", $depends" == *", $needed"* ]] || fail "the package does not depend on $needed, but on $depends"
  done
  [[ $depends != *cublas* && $depends != *nccl* ]] || fail "the package without CUDA depends on $depends"
  [[ $(dpkg-deb --contents "$package") != *libsdar_cuda* ]] || fail "the package without CUDA holds it"
  for cuda in "$work"/packages/sdar-cuda_*.deb; do
    [ -f "$cuda" ] || { echo "package: no sdar-cuda: this build has no CUDA backend"; break; }
    [[ $(dpkg-deb --contents "$cuda") == *" ./usr/lib/sdar/libsdar_cuda.so"* ]] || fail "sdar-cuda lacks its library"
    dpkg-deb --field "$cuda" Depends | grep -q "^sdar (= .*), libc6, libcublas-[0-9-]*, libnccl2$" ||
      fail "sdar-cuda depends on $(dpkg-deb --field "$cuda" Depends)"
  done
  if command -v lintian > /dev/null; then
    # Debian has no bug that asks for this package.
    lintian --allow-root --fail-on error,warning --suppress-tags initial-upload-closes-no-bugs --tag-display-limit 0 \
      "$work"/packages/*.deb || fail "lintian finds mistakes"
    echo "package: lintian is content after $SECONDS s"
  fi

  # In a namespace of its own, because the hook mounts the package into the root.
  unshare --mount --propagation private mmdebstrap --quiet --mode=root --variant=minbase --include=man-db \
    --include="$package" --hook-dir=/usr/share/mmdebstrap/hooks/file-mirror-automount bookworm "$work/root" \
    "${sources[@]}" > "$work/install.log" 2>&1 || fail "the package cannot be installed: $(cat "$work/install.log")"
  echo "package: installed in a bare root after $SECONDS s"
  SDAR_PACKAGE_INSIDE=1 SDAR_PACKAGE_WORK=$work SDAR_PACKAGE_SECONDS=$SECONDS \
    unshare --mount --mount-proc --pid --net --fork --kill-child --propagation private "$0" "$build"
  exit
fi

trap 'exit 143' INT TERM # the first process of a namespace ignores them otherwise
work=$SDAR_PACKAGE_WORK
SECONDS=$SDAR_PACKAGE_SECONDS
root=$work/root
checkout=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

ip link set lo up
mkdir "$root/models"
cp -r "$checkout/models/sdar-tiny" "$root/models/"
chmod -R a+rX "$root/models"
mount -t proc proc "$root/proc"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
mkdir "$root/dev/shm" "$root/dev/pts"
mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
ln -s /proc/self/fd "$root/dev/fd"
for device in null zero full random urandom; do
  : > "$root/dev/$device"
  mount --bind "/dev/$device" "$root/dev/$device"
done

in_root() {
  env -i PATH=/usr/bin:/bin:/usr/sbin:/sbin HOME=/root LC_ALL=C.UTF-8 chroot "$root" "$@"
}
# No function, so that a process in the background is the program itself.
as_sdar=(env -i PATH=/usr/bin:/bin:/usr/sbin:/sbin HOME=/var/lib/sdar LC_ALL=C.UTF-8
  chroot "$root" setpriv --reuid=sdar --regid=sdar --init-groups --no-new-privs --bounding-set=-all --)

# within SECONDS COMMAND...: whether the command succeeds within so many seconds.
within() {
  local deadline=$((SECONDS + $1))
  shift
  until "$@"; do
    [ "$SECONDS" -lt "$deadline" ] || return 1
    sleep 0.1
  done
}

# http METHOD PATH BODY: the server's answer with its head. The root has no program that asks over HTTP.
http() {
  local connection
  exec {connection}<> /dev/tcp/127.0.0.1/8000 || return
  printf '%s\r\n' "$1 $2 HTTP/1.1" 'Host: 127.0.0.1' 'Connection: close' 'Content-Type: application/json' \
    "Content-Length: ${#3}" '' >&"$connection"
  printf %s "$3" >&"$connection"
  cat <&"$connection"
  exec {connection}>&-
}
is_ready() { [[ $(http GET /readyz '' 2> /dev/null) == "HTTP/1.1 200 "* ]]; }

missing=$(in_root bash -c 'ldd /usr/bin/sdar-* /usr/lib/sdar/*.so' | grep 'not found' | sort -u || true)
[ -z "$missing" ] || fail "the dependencies lack what holds $missing"
mapfile -t programs < <(in_root dpkg -L sdar | sed -n 's|^/usr/bin/||p')
[[ " ${programs[*]} " == *" sdar-serve "* ]] || fail "the package holds ${programs[*]}"
for program in "${programs[@]}"; do
  [[ $(in_root "$program" --version) == "$program "[0-9]* ]] || fail "$program does not run"
  [ "$(in_root man -w "$program")" = "/usr/share/man/man1/$program.1.gz" ] || fail "man does not find $program"
  [[ $(in_root man "$program" 2>&1) == *'EXIT STATUS'* ]] || fail "man does not show $program"
  offered=$(in_root bash -c '. "/usr/share/bash-completion/completions/$0"
    COMP_WORDS=("$0" --he) COMP_CWORD=1; "$(complete -p "$0" | sed "s/.*-F \([^ ]*\) .*/\1/")"
    echo "${COMPREPLY[@]}"' "$program")
  [[ " $offered " == *" --help "* ]] || fail "$program --he completes to '$offered'"
done
offered=$(in_root bash -c '. /usr/share/bash-completion/completions/sdar-serve
  COMP_WORDS=(sdar-serve --ho) COMP_CWORD=1; _sdar_serve; echo "${COMPREPLY[@]}"')
[ "$offered" = --host= ] || fail "sdar-serve --ho completes to '$offered'"
echo "package: ${#programs[@]} programs run, have man pages and complete their flags"

for file in /etc/sdar/sdar.env /usr/lib/sdar/libsdar_loopback.so /usr/lib/systemd/system/sdar.service \
  /usr/share/sdar/proto/sdar/v1/generation.proto /usr/share/doc/sdar/README.md /usr/share/doc/sdar/copyright; do
  [ -f "$root$file" ] || fail "the package lacks $file"
done
[ -z "$(find "$root/etc/systemd" -name 'sdar*' 2> /dev/null)" ] || fail "the service is enabled"
# shellcheck disable=SC2016 # dpkg-query expands it
[ "$(in_root dpkg-query --show --showformat='${Conffiles}' sdar | awk '{ print $1 }' | xargs)" = /etc/sdar/sdar.env ] ||
  fail "sdar.env is no conffile"

# The command of the unit, as its user, with the settings as they come but for the model.
sed -i 's|^SDAR_MODEL=.*|SDAR_MODEL=/models/sdar-tiny|' "$root/etc/sdar/sdar.env"
{
  # shellcheck disable=SC2016 # for the script
  echo 'while IFS= read -r line; do [[ $line != SDAR_*=* ]] || export "$line"; done < /etc/sdar/sdar.env'
  echo 'cd /var/lib/sdar'
  sed -n '/^ExecStart=/,/[^\\]$/p' "$root/usr/lib/systemd/system/sdar.service" | sed 's/^ExecStart=/exec /'
} > "$root/models/start.sh"
"${as_sdar[@]}" bash /models/start.sh > "$work/serve.log" 2>&1 &
job=$!
within 60 is_ready || fail "the served job is not ready: $(cat "$work/serve.log")"
! grep -q libsdar_loopback "$work/serve.log" || fail "the launcher does not find its library: $(cat "$work/serve.log")"
answer=$(http POST /v1/chat/completions \
  '{"messages": [{"role": "user", "content": "What is the capital of Chile?"}], "temperature": 0}')
[[ $answer == *Santiago* ]] || fail "over HTTP: $answer"
answer=$("${as_sdar[@]}" sdar-client --temperature=0 --statistics=false What is the capital of Chile?)
[[ $answer == *Santiago* ]] || fail "over gRPC: $answer"
kill -TERM "$job"
status=0
wait "$job" || status=$?
[ "$status" -eq 0 ] || fail "the stopped job ended with status $status: $(cat "$work/serve.log")"
echo "package: a job of two ranks starts as the unit does, and answers over HTTP and gRPC"

# As `systemctl enable` does.
mkdir -p "$root/etc/systemd/system/multi-user.target.wants"
ln -s /lib/systemd/system/sdar.service "$root/etc/systemd/system/multi-user.target.wants/"
in_root dpkg --purge sdar > "$work/purge.log" 2>&1 || fail "the purge: $(cat "$work/purge.log")"
# But what man keeps of pages that it showed.
left=$(find "$root" -xdev \( -path "$root/models" -o -path "$root/var/cache/man" \) -prune -o -name '*sdar*' -print)
[ -z "$left" ] || fail "the purge leaves $left"
! grep sdar "$root/etc/passwd" "$root/etc/group" || fail "the purge leaves the user"
echo "package: passed after $SECONDS s"
