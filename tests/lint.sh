#!/usr/bin/env bash
# Formatting of every tracked C++ file, and static analysis of the product's, against the compile commands of a build:
#   tests/lint.sh [BUILD_DIR] [JOBS]
# clang-tidy passes over what is not ours to lint (generated sources), over tests/ (twice the time, and what is wrong
# there shows when it runs), and over kernels/cpu/simd/*.cc, which are written in GCC's vector extensions and AVX
# types that clang 14 does not parse, and CUDA's kernels (*.cu): the compilers' warnings and the conformance tests watch
# over them.
# It reads what the build compiles: in a unity build (the presets' `release`) several files at once, which saves
# reading the libraries' headers again for each.
# A unit that was clean is not read again until one of its files, a header, a proto or the checks change.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"

# The files that a unity file includes; nothing for another.
sources_of() {
  [[ $1 != */Unity/* ]] || sed -n 's/^#include "\(.*\.cc\)"$/\1/p' "$1"
}

# The checks that are added for a unit: exceptions of libraries must not escape where they are called.
extra_checks_of() {
  [[ ! $1 =~ /runtime/server/ ]] || echo --checks=bugprone-exception-escape
}

# lint_one BUILD_DIR HEADERS_KEY FILE
lint_one() {
  local key stamp
  key=$({ echo "$2" "$3" "$(extra_checks_of "$3")"; cat "$3"; sources_of "$3" | xargs -r -d '\n' cat; } | sha256sum | cut -c1-40)
  stamp=$1/lint/$key
  [ ! -f "$stamp" ] || return 0
  clang-tidy -p "$1" --quiet --extra-arg=-Wno-unknown-warning-option $(extra_checks_of "$3") "$3" 2> "$stamp.log" || {
    grep -E 'error|Error' "$stamp.log" >&2 || true
    return 1
  }
  mv "$stamp.log" "$stamp"
}

if [ "${1:-}" = --one ]; then
  lint_one "${@:2}"
  exit
fi

build=$(realpath "${1:-$root/build/release}")
jobs=${2:-2}
for tool in clang-format clang-tidy; do
  command -v "$tool" > /dev/null || { echo "lint: $tool is missing (packages-full.txt)" >&2; exit 1; }
done
[ -f "$build/compile_commands.json" ] || { echo "lint: no $build/compile_commands.json: configure first" >&2; exit 1; }

git ls-files -z '*.h' '*.cc' | xargs -0 clang-format --dry-run -Werror
echo "lint: formatting is clean"

mapfile -t units < <(grep -o '"file": "[^"]*"' "$build/compile_commands.json" | cut -d'"' -f4 | sort -u |
  grep -E "^($root|$build)/(common|kernels|parallel|runtime|launcher)/" | grep -Ev '/kernels/cpu/simd/[a-z0-9_]*\.cc$|\.cu$')
headers=$({ clang-tidy --version; git ls-files -z '*.h' '*.proto' .clang-tidy | xargs -0 cat; } | sha256sum | cut -c1-40)
mkdir -p "$build/lint"
echo "lint: ${#units[@]} translation units"
printf '%s\0' "${units[@]}" | xargs -0 -n 1 -P "$jobs" "$root/tests/lint.sh" --one "$build" "$headers"
echo "lint: clang-tidy is clean"
