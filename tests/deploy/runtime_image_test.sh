#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# runtime_image_test.sh BIN_FOLDER: makes what the runtime stage of deploy/docker/Dockerfile makes, from
# runtime-packages.txt and prepare_runtime.sh, and runs the programs of BIN_FOLDER in it: alone, and in a job of two
# pods over worker.sh and ssh_config. The pods are namespaces, with read-only roots and a user without any capability.
# Needs root and mmdebstrap; without them it says so and counts as passed.
set -euo pipefail

skip() {
  echo "runtime image: skipped: $*"
  exit 0
}
fail() {
  echo "runtime image: FAILED: $*" >&2
  exit 1
}

[ -d "${1:-}" ] || { echo "usage: runtime_image_test.sh BIN_FOLDER" >&2; exit 2; }
bin=$(realpath "$1")

if [ "${SDAR_IMAGE_INSIDE:-}" != 1 ]; then
  [ "$(id -u)" -eq 0 ] || skip "not root"
  command -v mmdebstrap > /dev/null || skip "mmdebstrap is missing (packages-full.txt)"
  unshare --mount --pid --net --uts --ipc --fork true 2> /dev/null || skip "this machine has no namespaces to give"
  work=$(mktemp -d)
  trap 'rm -rf --one-file-system "$work"' EXIT
  trap 'exit 143' INT TERM # after the rest, which the same signal ends
  chmod 755 "$work"
  # The network of the pods is one of its own; packages come through that of the machine, before.
  # shellcheck disable=SC2016 # apt expands the names
  mapfile -t sources < <(apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' |
    awk '$2 ~ /^bookworm(-updates|-security)?$/ && $3 == "main" { print "deb", $1, $2, $3 }' | sort -u)
  [ ${#sources[@]} -gt 0 ] || skip "apt has no Debian 12 source here"
  packages=$(sed 's/#.*//' "$(dirname "$0")/../../deploy/docker/runtime-packages.txt" | xargs | tr ' ' ',')
  mmdebstrap --quiet --mode=root --variant=minbase --include="$packages" bookworm "$work/root" "${sources[@]}"
  echo "runtime image: root with runtime-packages.txt after $SECONDS s"
  SDAR_IMAGE_INSIDE=1 SDAR_IMAGE_WORK=$work unshare --mount --mount-proc --pid --net --fork --kill-child \
    --propagation private "$0" "$bin"
  exit
fi

trap 'exit 143' INT TERM # the first process of a namespace ignores them otherwise
work=$SDAR_IMAGE_WORK
root=$work/root
checkout=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

mkdir "$root/install" "$root/models" "$root/etc/sdar" "$root/etc/sdar/ssh"
cp "$checkout"/deploy/docker/* "$root/install/"
chroot "$root" /install/prepare_runtime.sh /install
rm -r "$root/install"
install -m 755 "$bin"/sdar-* "$bin"/libsdar_loopback.so "$root/usr/local/bin/"
cp -r "$checkout/models/sdar-tiny" "$root/models/"
chmod -R a+rX "$root/models"

printf '127.0.0.1 localhost\n10.77.0.1 leader leader.group\n10.77.0.2 worker leader-1.group\n' > "$root/etc/hosts"

missing=$(chroot "$root" bash -c 'ldd /usr/local/bin/sdar-*' | grep 'not found' | sort -u || true)
[ -z "$missing" ] || fail "runtime-packages.txt lacks what holds $missing"
[ -z "$(find "$root/etc/ssh" -name 'ssh_host_*')" ] || fail "the image holds host keys"

# The group's key, as the chart makes it and as the kubelet mounts it; and a stranger's.
chroot "$root" ssh-keygen -q -t ecdsa -m PEM -N '' -f /etc/sdar/ssh/ssh-privatekey
chroot "$root" ssh-keygen -q -t ecdsa -m PEM -N '' -f /etc/sdar/ssh/strangers-key
rm "$root"/etc/sdar/ssh/*.pub
chown root:10001 "$root"/etc/sdar/ssh/*
chmod 440 "$root"/etc/sdar/ssh/*

# What a pod sees: a read-only root, folders of its own to write to, and a user with no way to get a capability.
cat > "$work/pod.sh" << 'END'
#!/usr/bin/env bash
# pod.sh ROOT NAME COMMAND...
set -euo pipefail
root=$1 name=$2
shift 2
hostname "$name"
mount --bind "$root" "$root"
mount -o remount,ro,bind "$root"
mount -t proc proc "$root/proc"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
mkdir "$root/dev/shm"
mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
mkdir "$root/dev/pts"
for device in null zero full random urandom; do
  : > "$root/dev/$device"
  mount --bind "/dev/$device" "$root/dev/$device"
done
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
mount -t tmpfs -o mode=2777,uid=0,gid=10001 tmpfs "$root/home/sdar"
if [ "$name" != leader ]; then
  until ip link show "$name" > /dev/null 2>&1; do sleep 0.05; done
  ip link set lo up
  ip address add 10.77.0.2/24 dev "$name"
  ip link set "$name" up
fi
exec env -i PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin HOME=/home/sdar LC_ALL=C.UTF-8 HOSTNAME="$name" \
  chroot "$root" setpriv --reuid=10001 --regid=10001 --clear-groups --no-new-privs --bounding-set=-all \
  --inh-caps=-all -- "$@"
END
chmod 755 "$work/pod.sh"

# pod NAME COMMAND...: runs the command as the first process of a pod in the network of this test.
pod() {
  unshare --mount --pid --uts --ipc --fork --kill-child --propagation private "$work/pod.sh" "$root" "$@"
}

# start_worker NAME ARGUMENT...: starts worker.sh in a pod at 10.77.0.2; sets `worker`, and `worker_first`, its first
# process.
start_worker() {
  local name=$1
  shift
  unshare --mount --pid --net --uts --ipc --fork --kill-child --propagation private \
    "$work/pod.sh" "$root" "$name" /usr/local/lib/sdar/worker.sh "$@" 2> "$work/$name.log" &
  worker=$!
  until [ "$(readlink "/proc/$worker/ns/net")" != "$(readlink /proc/self/ns/net)" ]; do sleep 0.05; done
  ip link add name node0 type veth peer name "$name" netns "$worker"
  ip address add 10.77.0.1/24 dev node0
  ip link set node0 up
  within 20 grep -qs 'ssh server on port' "$work/$name.log" || fail "$name did not start: $(cat "$work/$name.log")"
  within 20 answers_on_ssh_port || fail "$name's ssh server does not listen: $(cat "$work/$name.log")"
  worker_first=$(cat "/proc/$worker/task/$worker/children")
  worker_first=${worker_first// /}
}

answers_on_ssh_port() { (: > /dev/tcp/10.77.0.2/2222) 2> /dev/null; }

# within SECONDS COMMAND...: whether the command succeeds within so many seconds.
within() {
  local deadline=$((SECONDS + $1))
  shift
  until "$@"; do
    [ $SECONDS -lt "$deadline" ] || return 1
    sleep 0.1
  done
}

worker_has_ended() { ! kill -0 "$worker" 2> /dev/null; }

ip link set lo up
config=/usr/local/lib/sdar/ssh_config
mpirun=(mpirun --bind-to none --mca plm_rsh_args "-F $config" --mca pml ob1 --mca btl "self,vader,tcp"
  --host "10.77.0.1:1,10.77.0.2:1" -np 2)

for program in "$bin"/sdar-*; do
  pod leader "/usr/local/bin/$(basename "$program")" --help > /dev/null || fail "$(basename "$program") does not run"
done
echo "runtime image: every program runs"

start_worker worker --grace=60
[ "$(pod leader ssh -F "$config" 10.77.0.2 hostname)" = worker ] || fail "no command over ssh"
sed '/IdentityFile/s/ssh-privatekey/strangers-key/' "$root/$config" > "$root/models/ssh_config.stranger"
if pod leader ssh -F /models/ssh_config.stranger 10.77.0.2 true 2> "$work/ssh.log"; then
  fail "the worker lets a stranger's key in"
fi
grep -q 'Permission denied (publickey)' "$work/ssh.log" || fail "a stranger's key: $(cat "$work/ssh.log")"
sed '/KnownHostsCommand/s/ssh-privatekey/strangers-key/' "$root/$config" > "$root/models/ssh_config.other"
if pod leader ssh -F /models/ssh_config.other 10.77.0.2 true 2> "$work/ssh.log"; then
  fail "a host whose key the group's key did not sign is trusted"
fi
grep -q 'Host key verification failed' "$work/ssh.log" || fail "an unknown host: $(cat "$work/ssh.log")"
echo "runtime image: ssh between pods takes the group's key, and no other on either side"

echo '{"id": "a", "prompt": "The capital of", "max_tokens": 4, "temperature": 0}' > "$root/models/question"
pod leader "${mpirun[@]}" /usr/local/bin/sdar-generate --model=/models/sdar-tiny --input=/models/question \
  --output=/tmp/answer --threads=1 > "$work/generate.log" 2>&1 || fail "a job of two pods: $(cat "$work/generate.log" "$work/worker.log")"
echo "runtime image: a job of two pods answers"

# Worker and leader are told to stop at the same time; ranks take 2 s to drain.
cat > "$root/models/rank.sh" << 'END'
trap 'sleep 2; echo "drained on $(hostname)"; exit 0' USR1
echo "started on $(hostname)"
while :; do sleep 0.1; done
END
cat > "$root/models/leader.sh" << 'END'
trap 'kill -USR1 "$job"' TERM
"$@" &
job=$!
wait "$job"
wait "$job"
END
unshare --mount --pid --uts --ipc --fork --kill-child --propagation private "$work/pod.sh" "$root" leader \
  bash /models/leader.sh "${mpirun[@]}" bash /models/rank.sh > "$work/drain.log" 2>&1 &
leader=$!
both_started() { [ "$(grep -c 'started on' "$work/drain.log")" -eq 2 ]; }
within 30 both_started || fail "ranks did not start: $(cat "$work/drain.log")"
kill -TERM "$worker_first"
sleep 1
! worker_has_ended || fail "the worker ended while a rank ran on it"
kill -TERM "$(tr -d ' ' < "/proc/$leader/task/$leader/children")"
status=0
wait "$leader" || status=$?
drained=$(grep -c 'drained on' "$work/drain.log" || true)
[ "$status,$drained" = 0,2 ] ||
  fail "the drain was cut with status $status: $(cat "$work/drain.log")"
within 5 worker_has_ended || fail "the worker goes on when its ranks have ended"
wait "$worker" || fail "the drained worker ended with status $?"
echo "runtime image: a worker outlives its SIGTERM for as long as its ranks drain"

# The same with the launcher and the server, which find each other as in a LeaderWorkerSet.
start_worker worker1 --grace=60
unshare --mount --pid --uts --ipc --fork --kill-child --propagation private "$work/pod.sh" "$root" leader \
  env LWS_LEADER_ADDRESS=leader.group LWS_GROUP_SIZE=2 /usr/local/bin/sdar-launch --lws-slots=1 --ssh-args="-F $config" \
  --ssh-port=2222 --stop-timeout=30 -- /usr/local/bin/sdar-serve --model=/models/sdar-tiny --host=0.0.0.0 \
  --drain-timeout=20 --threads=1 > "$work/serve.log" 2>&1 &
leader=$!
is_ready() { chroot "$root" curl --silent --fail --max-time 2 http://10.77.0.1:8000/readyz > /dev/null; }
within 60 is_ready || fail "the served job is not ready: $(cat "$work/serve.log")"
chroot "$root" curl --silent --fail --max-time 60 --data '{"prompt": "The capital of", "max_tokens": 4}' \
  http://10.77.0.1:8000/v1/completions > /dev/null || fail "the served job does not answer: $(cat "$work/serve.log")"
kill -TERM "$worker_first" "$(tr -d ' ' < "/proc/$leader/task/$leader/children")"
status=0
wait "$leader" || status=$?
[ "$status" -eq 0 ] || fail "the stopped launcher ended with status $status: $(cat "$work/serve.log")"
within 10 worker_has_ended || fail "the worker goes on when the served job has ended"
echo "runtime image: a job of the launcher serves from two pods, and ends well when both are stopped"

start_worker worker2 --grace=2
pod leader "${mpirun[@]}" bash /models/rank.sh > "$work/drain.log" 2>&1 &
leader=$!
within 30 both_started || fail "ranks did not start: $(cat "$work/drain.log")"
kill -TERM "$worker_first"
within 10 worker_has_ended || fail "the worker goes on after its grace"
grep -q 'ranks are left after 2 s' "$work/worker2.log" || fail "the worker does not say that ranks were left"
kill "$leader" 2> /dev/null || true
wait "$leader" 2> /dev/null || true
echo "runtime image: passed after $SECONDS s"
