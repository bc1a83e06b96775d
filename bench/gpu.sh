#!/usr/bin/env bash
# What there is to check on a machine with an NVIDIA GPU:
#   bench/gpu.sh pack DIR    collects what build/release holds for it, with the libraries that it needs but CUDA's
#   bench/gpu.sh run DIR     there, from a copy of the checkout: tests, sanitizer, answers on GPU and CPU, and a summary
# The machine needs a driver, cuBLASLt and NCCL; compute-sanitizer where it is there. $OUT (default: DIR/out) gets the logs.
# Every step is done whatever came of the one before; the exit status is the number of those that failed.
set -euo pipefail

programs=(cuda_test model_cuda_test parallel_nccl_test sdar-generate libsdar_cuda.so)

pack() {
  local dir=$1 root
  root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
  rm -rf "$dir"
  mkdir -p "$dir/bin" "$dir/lib" "$dir/mpi"
  for name in "${programs[@]}"; do cp "$root/build/release/bin/$name" "$dir/bin/"; done
  strip "$dir"/bin/*
  cp -L /usr/bin/mpirun "$dir/bin/"
  cp -L /usr/bin/orted "$dir/bin/"
  # Open MPI's plug-ins and texts, where OPAL_PREFIX leads to.
  mkdir -p "$dir/mpi/lib/x86_64-linux-gnu/openmpi/lib" "$dir/mpi/share"
  cp -rL /usr/lib/x86_64-linux-gnu/openmpi/lib/openmpi3 "$dir/mpi/lib/x86_64-linux-gnu/openmpi/lib/"
  cp -rL /usr/share/openmpi "$dir/mpi/share/"
  # All that is loaded, glibc and CUDA left out: those are the machine's.
  for file in "$dir"/bin/* "$dir"/mpi/lib/x86_64-linux-gnu/openmpi/lib/openmpi3/*.so; do ldd "$file"; done 2> /dev/null |
    awk '$2 == "=>" && $3 ~ /^\// { print $3 }' | sort -u |
    grep -Ev '/(libc|libm|libdl|libpthread|librt|ld-linux[^/]*|libcuda|libcublas[^/]*|libnccl|libcudart)\.so' |
    xargs -I{} cp -L {} "$dir/lib/"
  echo "$root" > "$dir/checkout"
  du -sh "$dir"
}

failed=0
# step NAME COMMAND...: into a log of its own, with its time.
step() {
  local name=$1 begin=$SECONDS status=0
  shift
  "$@" > "$OUT/$name.log" 2>&1 || status=$?
  [ "$status" -eq 0 ] || failed=$((failed + 1))
  printf '%-28s exit %3d  %4d s\n' "$name" "$status" $((SECONDS - begin)) | tee -a "$OUT/summary"
}

on_ranks() {
  local ranks=$1
  shift
  mpirun --allow-run-as-root --oversubscribe --bind-to none -n "$ranks" "$@"
}

# The examples' questions on one device and another: the same tokens, but for what rounding decides.
answers() {
  local device=$1 ranks=$2 dtype=$3
  on_ranks "$ranks" "$dir/bin/sdar-generate" --model=models/sdar-tiny --device="$device" --dtype="$dtype" --drafts=off \
    --input=examples/questions.jsonl --output="$OUT/answers-$device-$ranks-$dtype.jsonl"
}
same_answers() {
  python3 - "$@" << 'PY'
import json, sys
a, b = ([json.loads(line)["token_ids"] for line in open(f)] for f in sys.argv[1:3])
same = sum(x == y for x, y in zip(a, b))
print(f"{same} of {len(a)} answers are the same")
sys.exit(len(a) != len(b) or same < 0.9 * len(a))
PY
}

run() {
  dir=$(cd "$1" && pwd)
  export OUT=${OUT:-$dir/out} PATH=$dir/bin:$PATH OPAL_PREFIX=$dir/mpi
  export LD_LIBRARY_PATH=$dir/lib:/usr/local/cuda/lib64${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
  mkdir -p "$OUT"
  # The tests look for golden files where the checkout was when they were built.
  local built
  built=$(cat "$dir/checkout")
  if [ ! -e "$built" ]; then
    mkdir -p "$(dirname "$built")"
    ln -s "$PWD" "$built"
  fi
  nvidia-smi --query-gpu=name,driver_version,clocks.sm,memory.total --format=csv | tee "$OUT/summary"
  step kernels cuda_test --gtest_brief=1
  step model model_cuda_test
  step nccl-2-ranks on_ranks 2 parallel_nccl_test
  if command -v compute-sanitizer > /dev/null; then
    step memcheck compute-sanitizer --error-exitcode=9 "$dir/bin/cuda_test" --gtest_brief=1
    step racecheck compute-sanitizer --tool racecheck --error-exitcode=9 "$dir/bin/cuda_test" --gtest_brief=1 \
      --gtest_filter='*AttentionTest*bfloat16:*ExpertTest*bfloat16:*LogitTest*bfloat16'
  fi
  for dtype in float32 bfloat16; do
    step "cpu-$dtype" answers cpu 1 $dtype
    step "cuda-$dtype" answers cuda 1 $dtype
    step "same-$dtype" same_answers "$OUT/answers-cpu-1-$dtype.jsonl" "$OUT/answers-cuda-1-$dtype.jsonl"
  done
  step cuda-2-ranks answers cuda 2 float32
  step same-2-ranks same_answers "$OUT/answers-cpu-1-float32.jsonl" "$OUT/answers-cuda-2-float32.jsonl"
  tail -n 5 "$OUT"/*.log
  return "$failed"
}

if [ $# -ne 2 ] || { [ "$1" != pack ] && [ "$1" != run ]; }; then
  sed -n '2,6s/^# \{0,1\}//p' "$0"
  exit 2
fi
"$1" "$2"
