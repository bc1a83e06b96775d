#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What the runtime stage of the Dockerfile does beside installing packages and copying programs; as root, in a root
# where runtime-packages.txt is installed: prepare_runtime.sh FOLDER, the folder of this file.
set -euo pipefail
from=$1

# ssh and mpirun need a user that /etc/passwd knows, with a shell. `*` as the password: none fits, but the account is
# not locked, as sshd would refuse.
groupadd --gid 10001 sdar
useradd --uid 10001 --gid 10001 --home-dir /home/sdar --create-home --shell /bin/bash --password '*' sdar

install -d /usr/local/lib/sdar
install -m 755 "$from/worker.sh" "$from/known_hosts.sh" /usr/local/lib/sdar/
install -m 644 "$from/ssh_config" /usr/local/lib/sdar/

# sshd as root, as RDMA may need it, parts its privileges here.
install -d -m 755 /run/sshd

# The package makes host keys, which every container would share.
rm -f /etc/ssh/ssh_host_*
