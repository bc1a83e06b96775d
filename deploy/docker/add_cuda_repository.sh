#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Makes apt know NVIDIA's package repository for Debian 12. Needs root and the network.
set -euo pipefail

repository=https://developer.download.nvidia.com/compute/cuda/repos/debian12/x86_64
apt-get update -q
apt-get install -q -y --no-install-recommends ca-certificates curl
curl --fail --silent --show-error --location --output /tmp/cuda-keyring.deb "$repository/cuda-keyring_1.1-1_all.deb"
dpkg --install /tmp/cuda-keyring.deb
rm /tmp/cuda-keyring.deb
