#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# slurm_cluster.sh start|stop FOLDER [CORES]: a Slurm cluster on one machine, a controller and two nodes, each with a
# network, a host name, a /tmp and a /dev/shm of its own. Needs root, slurm-wlm and munge.
# Then SLURM_CONF=FOLDER/slurm.conf for Slurm's commands. Node n1 is 10.78.0.1, n2 is 10.78.0.2. `ip link set sdar-n2 down`
# cuts n2 off. FOLDER must not be below /tmp, which the nodes do not share, and users must be able to read it.
set -euo pipefail
command=$1 work=$2 cores=${3:-2}
names=(n1 n2)

# Ids of the daemons that were started with this FOLDER.
daemons() { pgrep -f -- "-f $work/slurm.conf" || true; }

stop() {
  if [ -s "$work/slurm.conf" ]; then # without it every command of Slurm tries for a minute
    SLURM_CONF=$work/slurm.conf timeout 5 scancel --state=RUNNING 2> /dev/null || true
    SLURM_CONF=$work/slurm.conf timeout 5 scontrol shutdown 2> /dev/null || true
    for _ in $(seq 10); do # a node that waits for a job ends late, or never
      [ -n "$(daemons)" ] || break
      sleep 0.5
    done
    for process in $(daemons); do kill -KILL "$process" 2> /dev/null || true; done
  fi
  if [ -s "$work/munged.pid" ]; then kill "$(cat "$work/munged.pid")" 2> /dev/null || true; fi
  rm -f "$work/munged.pid"
  for name in "${names[@]}"; do
    ip link del "sdar-$name" 2> /dev/null || true
    ip netns del "sdar-$name" 2> /dev/null || true
  done
  ip link del sdar-slurm 2> /dev/null || true
}

# as_machine NAME NETWORK COMMAND...: runs the command under this host name, with these hosts. `ip netns exec` would mount
# a /sys without control groups, which slurmd needs.
as_machine() {
  local name=$1 network=$2
  shift 2
  # shellcheck disable=SC2016 # the inner bash expands it
  ${network:+nsenter --net="$network"} unshare --uts --mount --propagation private bash -c '
    hostname "$1"; mount --bind "$2/hosts" /etc/hosts
    if [ -d "$2/tmp-$1" ]; then mount --bind "$2/tmp-$1" /tmp; mount --bind "$2/shm-$1" /dev/shm; fi
    shift 2; exec "$@"' - "$name" "$work" "$@"
}

case $command in
  stop) stop; exit ;;
  start) ;;
  *) echo "usage: slurm_cluster.sh start|stop FOLDER [CORES]" >&2; exit 2 ;;
esac

stop
rm -rf "$work"/{state,log,spool-*,tmp-*,shm-*}
mkdir -p "$work/state" "$work/log"
chmod 755 "$work"
# A munged of its own, whose socket Slurm is told.
install -d -o munge "$work/munge"
dd if=/dev/urandom bs=128 count=1 2> /dev/null > "$work/munge/key"
chown munge "$work/munge/key"
chmod 400 "$work/munge/key"
runuser -u munge -- munged --key-file="$work/munge/key" --socket="$work/munge/socket" --pid-file="$work/munge/pid" \
  --log-file="$work/munge/log" --seed-file="$work/munge/seed"
cp "$work/munge/pid" "$work/munged.pid"
printf '127.0.0.1 localhost\n10.78.0.254 ctl\n10.78.0.1 n1\n10.78.0.2 n2\n' > "$work/hosts"
cat > "$work/slurm.conf" << END
ClusterName=test
SlurmctldHost=ctl(10.78.0.254)
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=$work/munge/socket
StateSaveLocation=$work/state
SlurmdSpoolDir=$work/spool-%n
SlurmctldPidFile=$work/slurmctld.pid
SlurmdPidFile=$work/slurmd-%n.pid
SlurmctldLogFile=$work/log/slurmctld
SlurmdLogFile=$work/log/slurmd-%n
ProctrackType=proctrack/linuxproc
TaskPlugin=task/affinity
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
MpiDefault=none
KillWait=20
ReturnToService=2
NodeName=n[1-2] NodeAddr=10.78.0.[1-2] CPUs=$cores RealMemory=2000 State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
END
ip link add sdar-slurm type bridge
ip address add 10.78.0.254/24 dev sdar-slurm
ip link set sdar-slurm up
as_machine ctl "" slurmctld -c -f "$work/slurm.conf"
for i in 1 2; do
  name=n$i
  mkdir -p "$work/tmp-$name" "$work/shm-$name"
  chmod 1777 "$work/tmp-$name" "$work/shm-$name"
  ip netns add "sdar-$name"
  ip link add "sdar-$name" type veth peer name eth0 netns "sdar-$name"
  ip link set "sdar-$name" master sdar-slurm up
  ip -n "sdar-$name" address add "10.78.0.$i/24" dev eth0
  ip -n "sdar-$name" link set eth0 up
  ip -n "sdar-$name" link set lo up
  as_machine "$name" "/run/netns/sdar-$name" slurmd -N "$name" -f "$work/slurm.conf"
done
