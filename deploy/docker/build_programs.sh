#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# build_programs.sh OUT cpu|cuda [CUDA_ARCHITECTURES]: builds the programs of the release preset and what they load,
# without tests, and copies them into OUT, stripped. Fails if `cuda` has not made the CUDA backend.
# SDAR_JOBS sets how many compilers run at once (default: the cores of this machine).
set -euo pipefail
out=$(realpath -m "$1")
backend=$2 architectures=${3:-}
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

options=(-DBUILD_TESTING=OFF)
case $backend in
  cpu) options+=(-DSDAR_CUDA=OFF) ;;
  cuda) [ -z "$architectures" ] || options+=("-DSDAR_CUDA_ARCHITECTURES=$architectures") ;;
  *) echo "build_programs.sh: the backend is cpu or cuda, not '$backend'" >&2; exit 2 ;;
esac
cmake --preset release "${options[@]}"
cmake --build --preset release -j "${SDAR_JOBS:-$(nproc)}"
if [ "$backend" = cuda ] && [ ! -f build/release/bin/libsdar_cuda.so ]; then
  echo "build_programs.sh: the build made no libsdar_cuda.so; was nvcc found?" >&2
  exit 1
fi
mkdir -p "$out"
install -m 755 --strip build/release/bin/sdar-* build/release/bin/libsdar_*.so "$out/"
