#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Makes apt know NVIDIA's package repository for Debian 12 on this architecture. Needs root and the network.
#   add_cuda_repository.sh [--print]    --print: prints the repository's address and does nothing
set -euo pipefail

case $(dpkg --print-architecture) in
  amd64) platform=x86_64 ;;
  arm64) platform=sbsa ;; # its name for servers
  *) echo "add_cuda_repository.sh: NVIDIA has no packages for $(dpkg --print-architecture)" >&2; exit 1 ;;
esac
repository=https://developer.download.nvidia.com/compute/cuda/repos/debian12/$platform
if [ "${1:-}" = --print ]; then
  echo "$repository"
  exit
fi
apt-get update -q
apt-get install -q -y --no-install-recommends ca-certificates curl
curl --fail --silent --show-error --location --output /tmp/cuda-keyring.deb "$repository/cuda-keyring_1.1-1_all.deb"
dpkg --install /tmp/cuda-keyring.deb
rm /tmp/cuda-keyring.deb
