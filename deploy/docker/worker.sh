#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The first process of a worker pod: an ssh server through which the leader's mpirun starts ranks here.
#   worker.sh [--grace=SECONDS] [--key=FILE] [--port=PORT]
# Needs no privilege, and no file outside of the home folder and /tmp that it may write to.
#
# A worker is told to stop at the same time as its leader, whose ranks go on to drain, those here among them. So
# SIGTERM ends it only when no daemon of mpirun (orted) is left, or after the grace; a second one changes nothing.
# When the key's file changes, the server follows it within seconds. Ranks that run are not disturbed.
set -euo pipefail

grace=30
key=/etc/sdar/ssh/ssh-privatekey
port=2222
for argument in "$@"; do
  case $argument in
    --grace=*) grace=${argument#*=} ;;
    --key=*) key=${argument#*=} ;;
    --port=*) port=${argument#*=} ;;
    *)
      echo "worker: unknown argument $argument; usage: worker.sh [--grace=SECONDS] [--key=FILE] [--port=PORT]" >&2
      exit 2
      ;;
  esac
done
[[ $grace =~ ^[0-9]+$ && $port =~ ^[0-9]+$ ]] || { echo "worker: --grace and --port are whole numbers" >&2; exit 2; }
sshd=$(command -v sshd || echo /usr/sbin/sshd) # absolute: sshd starts itself again
[ -r "$key" ] || { echo "worker: cannot read the private key $key" >&2; exit 1; }

# Writes the server's keys and its configuration into ~/.ssh.
prepare() {
  local ssh=$HOME/.ssh
  umask 077
  mkdir -p "$ssh"
  # Who holds the group's key may run commands, and nothing else.
  echo "restrict $(ssh-keygen -y -f "$key")" > "$ssh/authorized_keys"
  rm -f "$ssh"/host_key*
  ssh-keygen -q -t ed25519 -N '' -C "$HOSTNAME" -f "$ssh/host_key"
  ssh-keygen -q -s "$key" -h -I "$HOSTNAME" "$ssh/host_key.pub"
  cat > "$ssh/sshd_config" << END
Port $port
HostKey $ssh/host_key
HostCertificate $ssh/host_key-cert.pub
AuthorizedKeysFile $ssh/authorized_keys
AuthenticationMethods publickey
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
StrictModes no
PidFile none
PermitUserEnvironment no
AllowTcpForwarding no
AllowStreamLocalForwarding no
X11Forwarding no
PrintMotd no
PrintLastLog no
MaxStartups 64
ClientAliveInterval 10
ClientAliveCountMax 3
LogLevel ERROR
END
  # The leader looks whether the port is open. From version 9.8 on, sshd shuts out an address for such connections.
  if "$sshd" -t -f "$ssh/sshd_config" -o PerSourcePenalties=no 2> /dev/null; then
    echo "PerSourcePenalties no" >> "$ssh/sshd_config"
  fi
}

# shellcheck disable=SC2317 # the traps call these two
# Whether a daemon of mpirun runs in this pod.
has_orted() {
  local comm name
  for comm in /proc/[0-9]*/comm; do
    if { read -r name < "$comm"; } 2> /dev/null && [ "$name" = orted ]; then return 0; fi
  done
  return 1
}

# shellcheck disable=SC2317
# Waits for the ranks here to end, at most the grace, and ends.
stop() {
  trap '' TERM INT
  local begin=$SECONDS
  while has_orted && [ $((SECONDS - begin)) -lt "$grace" ]; do sleep 0.2; done
  if has_orted; then echo "worker: ranks are left after $grace s; ending" >&2; fi
  local server
  for server in $(jobs -p); do kill "$server" 2> /dev/null || true; done
  exit 0
}

trap stop TERM INT
prepare
prepared=$(cksum < "$key")
"$sshd" -D -e -f "$HOME/.ssh/sshd_config" &
server=$!
echo "worker: ssh server on port $port" >&2
status=0
while :; do
  sleep 2 &
  status=0
  wait -n -p ended || status=$?
  [ "$ended" != "$server" ] || break
  # A Secret that changed in the cluster changes the file. It is replaced as a whole.
  now=$(cksum < "$key" 2> /dev/null) || continue
  [ "$now" != "$prepared" ] || continue
  if ssh-keygen -y -f "$key" > /dev/null 2>&1; then
    prepare
    kill -HUP "$server"
    echo "worker: the private key has changed; the ssh server takes the new one" >&2
  else
    echo "worker: the private key has changed and cannot be read; the ssh server keeps the old one" >&2
  fi
  prepared=$now
done
echo "worker: the ssh server ended with status $status" >&2
exit 1
