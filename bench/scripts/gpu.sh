#!/usr/bin/env bash
# What there is to check and to measure on a machine with an NVIDIA GPU:
#   bench/scripts/gpu.sh pack DIR              builds, and collects what a GPU machine needs, with the libraries but CUDA's: 60 MiB at most
#   bench/scripts/gpu.sh run DIR [GROUP...]    there, from a copy of the checkout; no group: all of them, in this order:
#     tests        the suites of the kernels, the model and NCCL          answers   examples' answers on GPU and CPU
#     sanitizer    compute-sanitizer over the kernels' suite              profile   Nsight Compute of the largest kernels
#     kernels      every kernel alone, beside its floor                   torch     the same decoding in torch, with graphs
#     end-to-end   tokens/s of 4b and 30b-a3b                             eager     and without
#     routings     30b-a3b with skewed and hot routing                    table     all of it beside the floors, as one table
#     launches     end-to-end without CUDA graphs
# A group takes less than ten minutes (GROUP_SECONDS, 570): what is left of it then is stopped. Every step is done whatever
# came of the one before; the exit status is the number of those that failed. Logs, JSON and Markdown go to $OUT (DIR/out).
# The machine needs a driver, cuBLASLt and NCCL; compute-sanitizer, ncu and torch ($PYTHON) are used where they are there.
# To try what it does: DEVICE=cpu SHAPES=1.7b LOADS="--batch=1 --context=256 --block-length=4 --layers=1 --repeats=1".
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
programs=(cuda_test model_cuda_test parallel_nccl_test sdar-generate sdar-bench sdar-kernel-bench libsdar_cuda.so)
targets=("${programs[@]/libsdar_cuda.so/sdar_cuda_module}")
all_groups=(tests answers sanitizer kernels end-to-end routings launches torch eager profile table)
most_mib=60

pack() {
  local dir=$1 size
  if [ ! -e "$root/build/release/build.ninja" ]; then (cd "$root" && cmake --preset release); fi
  cmake --build "$root/build/release" --parallel "${JOBS:-$(nproc)}" --target "${targets[@]}"
  rm -rf "$dir"
  mkdir -p "$dir/bin" "$dir/lib" "$dir/mpi"
  for name in "${programs[@]}"; do cp "$root/build/release/bin/$name" "$dir/bin/"; done
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
  chmod -R u+w "$dir"
  strip --strip-unneeded "$dir"/bin/* "$dir"/lib/*
  echo "$root" > "$dir/checkout"
  size=$(du -sm "$dir" | cut -f 1)
  echo "$dir: $size MiB"
  [ "$size" -le "$most_mib" ] || { echo "more than $most_mib MiB" >&2; return 1; }
}

failed=0
# step NAME COMMAND...: into a log of its own, with its time; stopped when the group's time is over.
step() {
  local name=$1 begin=$SECONDS status=0 left=$((group_end - SECONDS))
  shift
  # shellcheck disable=SC2016 # the inner shell expands it
  if [ "$left" -gt 0 ]; then
    timeout --kill-after=10 "$left" bash -c '"$@"' step "$@" > "$OUT/$name.log" 2>&1 || status=$?
  else
    echo "the group's time was over" > "$OUT/$name.log"
    status=124
  fi
  [ "$status" -eq 0 ] || failed=$((failed + 1))
  printf '%-28s exit %3d  %4d s\n' "$name" "$status" $((SECONDS - begin)) | tee -a "$OUT/summary"
}
# A step for which the machine lacks something.
skip() { printf '%-28s skipped: %s\n' "$1" "$2" | tee -a "$OUT/summary"; }

on_ranks() {
  local ranks=$1
  shift
  mpirun --allow-run-as-root --oversubscribe --bind-to none -n "$ranks" "$@"
}

# A suite skips its tests where it sees no device, which here is a failure.
suite() {
  step "$@"
  if grep -q 'Skipped' "$OUT/$1.log"; then
    skip "$1" "it saw no device"
    failed=$((failed + 1))
  fi
}

group_tests() {
  suite suite-kernels cuda_test --gtest_brief=1
  suite suite-model model_cuda_test
  suite suite-nccl-2-ranks on_ranks 2 parallel_nccl_test
}

group_sanitizer() {
  if ! command -v compute-sanitizer > /dev/null; then
    skip sanitizer "no compute-sanitizer"
    return 0
  fi
  step memcheck compute-sanitizer --error-exitcode=9 "$dir/bin/cuda_test" --gtest_brief=1
  step racecheck compute-sanitizer --tool racecheck --error-exitcode=9 "$dir/bin/cuda_test" --gtest_brief=1 \
    --gtest_filter='*AttentionTest*bfloat16:*ExpertTest*bfloat16:*LogitTest*bfloat16'
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

group_answers() {
  for dtype in float32 bfloat16; do
    step "cpu-$dtype" answers cpu 1 $dtype
    step "cuda-$dtype" answers cuda 1 $dtype
    step "same-$dtype" same_answers "$OUT/answers-cpu-1-$dtype.jsonl" "$OUT/answers-cuda-1-$dtype.jsonl"
  done
  step cuda-2-ranks answers cuda 2 float32
  step same-2-ranks same_answers "$OUT/answers-cpu-1-float32.jsonl" "$OUT/answers-cuda-2-float32.jsonl"
}

# measure NAME PROGRAM FLAG...: its JSON beside its log, whose last table is Markdown.
measure() {
  local name=$1
  shift
  step "$name" "$@" --json="$OUT/$name.json"
  cp "$OUT/$name.log" "$OUT/$name.md"
}

group_kernels() {
  for shape in "${shapes[@]}"; do
    measure "kernels-$shape" sdar-kernel-bench --device="$device" --shape="$shape"
  done
}

# The loads that the goals are stated for; and fewer steps, as dynamic decoding has them.
group_end-to-end() {
  for shape in "${shapes[@]}"; do
    measure "end-to-end-$shape" sdar-bench --device="$device" --shape="$shape" --rows=4 "${loads[@]}" --steps=1,1.5,2,4
  done
}

group_routings() {
  for routing in skewed hot; do
    measure "end-to-end-30b-a3b-$routing" sdar-bench --device="$device" --shape=30b-a3b --rows=4 "${loads[@]}" \
      --routing=$routing
  done
}

# What graphs gain.
group_launches() {
  for shape in "${shapes[@]}"; do
    measure "launches-$shape" sdar-bench --device="$device" --shape="$shape" --rows=4 "${loads[@]}" --cuda-graphs=off
  done
}

group_torch() {
  torch_decoding graphs
}
group_eager() {
  torch_decoding eager --eager --repeats=3
}
torch_decoding() {
  local way=$1
  shift
  if ! "$PYTHON" -c 'import torch' 2> /dev/null; then
    skip "torch-$way" "$PYTHON has no torch"
    return 0
  fi
  for shape in "${shapes[@]}"; do
    measure "torch-$shape-$way" "$PYTHON" bench/scripts/torch_cuda_decode.py --device="$device" --shape="$shape" "${loads[@]}" "$@"
  done
}

group_profile() {
  if ! command -v ncu > /dev/null; then
    skip profile "no ncu"
    return 0
  fi
  step profile ncu --clock-control none --cache-control none --launch-count 80 \
    -k 'regex:ExpertProduct|BlockAttention|SummarizeLogits' --section SpeedOfLight --section MemoryWorkloadAnalysis \
    --section WarpStateStats --section Occupancy sdar-kernel-bench --device="$device" --shape=30b-a3b --rows=32,512 --batch=128 \
    --context=1024 --block-length=4 --only=BlockAttention,Experts,SummarizeLogits --repeats=1 --batch-ms=0.001 --bandwidth=4300 \
    --peak=790
}

group_table() {
  step table python3 bench/scripts/gpu_table.py "$OUT"
  cat "$OUT/table.log"
}

prepare() {
  dir=$(cd "$1" && pwd)
  export dir OUT=${OUT:-$dir/out} PATH=$dir/bin:$PATH OPAL_PREFIX=$dir/mpi
  export LD_LIBRARY_PATH=$dir/lib:/usr/local/cuda/lib64${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
  export -f on_ranks answers same_answers
  device=${DEVICE:-cuda}
  read -ra shapes <<< "${SHAPES:-4b 30b-a3b}"
  read -ra loads <<< "${LOADS:---batch=1,8,32,128 --context=1024 --block-length=4}"
  PYTHON=${PYTHON:-python3}
  mkdir -p "$OUT"
  # The tests look for golden files where the checkout was when they were built.
  local built
  built=$(cat "$dir/checkout")
  if [ ! -e "$built" ]; then
    mkdir -p "$(dirname "$built")"
    ln -s "$PWD" "$built"
  fi
  if command -v nvidia-smi > /dev/null; then
    nvidia-smi --query-gpu=name,driver_version,clocks.sm,power.limit,memory.total --format=csv | tee -a "$OUT/summary"
  fi
}

run() {
  prepare "$1"
  shift
  for group in "${@:-${all_groups[@]}}"; do
    group_end=$((SECONDS + ${GROUP_SECONDS:-570}))
    "group_$group"
  done
  return "$failed"
}

usage() {
  sed -n '2,15s/^# \{0,1\}//p' "$0"
  exit 2
}

[ $# -ge 2 ] || usage
command=$1
shift
case $command in
  pack) [ $# -eq 1 ] || usage ;;
  run)
    for group in "${@:2}"; do
      [[ " ${all_groups[*]} " == *" $group "* ]] || { echo "gpu.sh: no group $group" >&2; usage; }
    done
    ;;
  *) usage ;;
esac
"$command" "$@"
