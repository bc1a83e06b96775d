#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# install_test.sh BUILD: what `cmake --install` puts under a prefix is complete, and runs from there.
set -euo pipefail
build=$(realpath "$1")
prefix=$(mktemp -d)
trap 'rm -rf "$prefix"' EXIT

fail() {
  echo "install: $*" >&2
  exit 1
}

cmake --install "$build" --prefix "$prefix" --strip > /dev/null
for file in bin/sdar-{serve,launch,client,generate,score,tokenize,checkpoint,replay} lib/sdar/libsdar_loopback.so \
  lib/systemd/system/sdar.service share/man/man1/sdar-serve.1.gz share/bash-completion/completions/sdar-serve \
  share/sdar/proto/sdar/v1/generation.proto share/sdar/examples/python/generate_grpc.py \
  share/doc/sdar/{README.md,LICENSE,CHANGELOG.md,docs/serving.md} \
  share/doc/sdar/examples/{sdar.env.example,hostfile.example}; do
  [ -f "$prefix/$file" ] || fail "there is no $file"
done
others=$(find "$prefix/bin" -type f ! -name 'sdar-*' -o -name '*test*' -o -name 'sdar-*-bench')
[ -z "$others" ] || fail "not for users: $others"
for program in "$prefix"/bin/*; do
  name=$(basename "$program")
  [[ $("$program" --version) == "$name "[0-9]* ]] || fail "$name does not run"
  gzip --test "$prefix/share/man/man1/$name.1.gz"
done
line=$("$prefix/bin/sdar-launch" --dry-run --ranks=2 -- sdar-serve)
[[ $line == *" $prefix/bin/sdar-serve" ]] || fail "the launcher does not start the program next to it: $line"
# `true` ends well at once. The launcher says so if it does not find its library.
log=$("$prefix/bin/sdar-launch" --mpirun=/bin/true -- sdar-serve 2>&1) || fail "the launcher fails: $log"
[[ $log != *libsdar_loopback* ]] || fail "$log"
