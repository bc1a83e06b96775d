#!/usr/bin/env bash
# Proves that the two checks of this folder fail where they must, on made-up trees.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
failures=0

# write FILE LINE...: a well-formed file with these lines.
write() {
  mkdir -p "$tree/$(dirname "$1")"
  {
    echo '// SPDX-License-Identifier: Apache-2.0'
    case $1 in *.h) echo '#pragma once' ;; esac
    printf '%s\n' "${@:2}"
  } > "$tree/$1"
}

# expect pass|fail CHECK DESCRIPTION; the tree is emptied afterwards.
expect() {
  local outcome=pass
  "$here/$2" "$tree" > "$tree/.output" 2>&1 || outcome=fail
  if [ "$outcome" != "$1" ]; then
    echo "$2: expected $1, got $outcome: $3" >&2
    cat "$tree/.output" >&2
    failures=1
  fi
  rm -rf "${tree:?}"/*
}

write kernels/a.cc '#include "kernels/a.h"' '#include "common/b.h"' '#include "absl/c.h"'
write runtime/step/a.cc '#include "runtime/model/a.h"' '#include "sdar/v1/a.pb.h"'
write runtime/text/jinja/syntax/a.cc '#include "runtime/text/jinja/a.h"'
write launcher/job/a.cc '#include "kernels/cpu/a.h"' '#include "runtime/server/a.h"'
write launcher/serve/a.cc '#include "launcher/job/a.h"' '#include "launcher/serve/a.h"' '#include "runtime/server/http/a.h"'
write tests/kernels/a.cc '#include "tests/a.h"' '#include "launcher/serve/a.h"'
expect pass check_includes.sh 'the arrows of the table'

# forbidden FILE INCLUDED: the arrow must be reported.
forbidden() {
  write "$1" "#include \"$2\""
  expect fail check_includes.sh "$1 includes $2"
}
forbidden common/a.h kernels/backend.h
forbidden kernels/a.cc parallel/communicator.h
forbidden kernels/cpu/a.cc runtime/model/a.h
forbidden parallel/a.cc kernels/backend.h
forbidden runtime/text/a.cc runtime/diffusion/a.h
forbidden runtime/diffusion/a.cc kernels/backend.h
forbidden runtime/text/jinja/a.cc runtime/text/a.h
forbidden runtime/checkpoint/a.cc runtime/model/a.h
forbidden runtime/model/a.cc runtime/engine/a.h
forbidden runtime/model/a.cc runtime/diffusion/a.h
forbidden runtime/schedule/a.cc runtime/step/a.h
forbidden runtime/schedule/a.cc parallel/communicator.h
forbidden runtime/step/a.cc runtime/schedule/a.h
forbidden runtime/step/a.cc runtime/text/a.h
forbidden runtime/request/a.cc runtime/text/a.h
forbidden runtime/cluster/a.cc runtime/schedule/a.h
forbidden runtime/engine/a.cc runtime/cluster/a.h
forbidden runtime/engine/a.cc runtime/server/a.h
forbidden runtime/server/a.cc runtime/server/grpc/a.h
forbidden runtime/server/http/a.cc runtime/server/grpc/a.h
forbidden runtime/server/a.cc kernels/backend.h
forbidden runtime/server/a.cc parallel/communicator.h
forbidden runtime/server/a.cc launcher/flags/flags.h
forbidden runtime/engine/a.cc tests/a.h
forbidden launcher/job/a.cc tests/a.h
forbidden launcher/job/a.cc launcher/serve/a.h
forbidden launcher/generate/a.cc launcher/serve/a.h
forbidden stray/a.cc common/a.h
forbidden kernels/a.cc ../common/a.h

write common/a.h 'int a;'
write common/a-inl.h
write common/a.cc 'int b;'
expect pass check_files.sh 'well-formed files'

mkdir -p "$tree/common" && echo 'int a;' > "$tree/common/a.cc"
expect fail check_files.sh 'no SPDX line'
mkdir -p "$tree/common" && echo '// SPDX-License-Identifier: Apache-2.0' > "$tree/common/a.h"
expect fail check_files.sh 'no #pragma once'
mapfile -t lines < <(seq -f '// %g' 400)
write common/a.cc "${lines[@]}"
expect fail check_files.sh 'a source of 401 lines'
write common/a.h "${lines[@]:0:199}"
expect fail check_files.sh 'a header of 201 lines'
write common/a.cc "${lines[@]:0:399}"
write tests/common/a.h "${lines[@]:0:398}"
expect pass check_files.sh 'files at the limits'

write common/a.cc
mkdir -p "$tree/python" && echo 'a = 1' > "$tree/python/a.py"
expect fail check_files.sh 'a Python module without the SPDX line'
write common/a.cc
mkdir -p "$tree/python" && { echo '# SPDX-License-Identifier: Apache-2.0'; seq -f '# %g' 400; } > "$tree/python/a.py"
expect fail check_files.sh 'a Python module of 401 lines'

for i in $(seq 35); do write "runtime/engine/f$i.cc"; write "tests/engine/f$i.cc"; done
write tests/engine/f36.cc
expect pass check_files.sh 'a folder of 35 files, and a larger one of tests'
for i in $(seq 36); do write "runtime/engine/f$i.cc"; done
expect fail check_files.sh 'a folder of 36 files'

exit "$failures"
