#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# known_hosts.sh PRIVATE_KEY: the known hosts of ssh_config: every host whose key was signed with the private key.
set -euo pipefail

echo "@cert-authority * $(ssh-keygen -y -f "$1")"
