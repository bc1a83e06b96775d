#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# build_programs.sh OUT: builds the programs of the release preset and what they load, without tests, and copies them into OUT, stripped.
# SDAR_JOBS sets how many compilers run at once (default: the cores of this machine).
set -euo pipefail
out=$(realpath -m "$1")
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

cmake --preset release -DBUILD_TESTING=OFF
cmake --build --preset release -j "${SDAR_JOBS:-$(nproc)}"
mkdir -p "$out"
install -m 755 --strip build/release/bin/sdar-* build/release/bin/libsdar_*.so "$out/"
