#!/usr/bin/env bash
# Formatting and static analysis of every tracked C++ file, against the compile commands of a build:
#   tests/lint.sh [BUILD_DIR] [JOBS]
# Generated sources are not ours to lint. kernels/cpu/simd_*.cc are written in GCC's vector extensions and AVX
# types, which clang 14 does not parse; the compilers' warnings and the conformance tests watch over them.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build=${1:-$root/build/release}
jobs=${2:-2}
cd "$root"

for tool in clang-format clang-tidy; do
  command -v "$tool" > /dev/null || { echo "lint: $tool is missing (packages-full.txt)" >&2; exit 1; }
done
[ -f "$build/compile_commands.json" ] || { echo "lint: no $build/compile_commands.json: configure first" >&2; exit 1; }

git ls-files -z '*.h' '*.cc' | xargs -0 clang-format --dry-run -Werror
echo "lint: formatting is clean"

# The translation units of the project, less the generated and the vector ones.
mapfile -t units < <(grep -o '"file": "[^"]*"' "$build/compile_commands.json" | cut -d'"' -f4 | sort -u |
  grep "^$root/" | grep -v "^$root/build/" | grep -v '/kernels/cpu/simd_[a-z0-9_]*\.cc$')
echo "lint: ${#units[@]} translation units"
printf '%s\0' "${units[@]}" | xargs -0 -n 1 -P "$jobs" clang-tidy -p "$build" --quiet \
  --extra-arg=-Wno-unknown-warning-option --extra-arg=-Wno-ignored-optimization-argument 2> /dev/null
echo "lint: clang-tidy is clean"
