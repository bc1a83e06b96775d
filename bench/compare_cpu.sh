#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# sdar-bench, torch and llama.cpp in turn, on the same shape, rows and cores, as often as asked; prints medians, ratios
# and the plain reads that stood beside them. Machines change from minute to minute, so only what ran in turn compares.
#
#   bench/compare_cpu.sh [--shape=1.7b] [--context=1024] [--batch=1,8] [--rows=4,8,64,512] [--rounds=5] [--layers=0]
#                        [--sets=auto] [--programs=build/release/bin] [--torch=PYTHON]
#                        [--llama-bench=PROGRAM --llama-model=FILE] [--keep=FOLDER]
#
# --sets: instruction sets of sdar-bench, each a competitor, such as amx,avx512_bf16.
# --torch: a Python that has torch (bench/scripts/torch_decode.py says how to make one); without, torch is left out.
# --llama-bench: of a llama.cpp build, with a model of the same shape; without, it is left out.
# --layers: of sdar-bench and torch, whose times are scaled to all; 0: all.
# --keep: where what every run wrote stays; without, in a folder that is removed.
set -euo pipefail

shape=1.7b context=1024 batch=1,8 rows=4,8,64,512 rounds=5 layers=0 sets=auto programs=build/release/bin
torch='' llama_bench='' llama_model='' keep=''
for argument in "$@"; do
  value=${argument#*=}
  case $argument in
    --shape=*) shape=$value ;;
    --context=*) context=$value ;;
    --batch=*) batch=$value ;;
    --rows=*) rows=$value ;;
    --rounds=*) rounds=$value ;;
    --layers=*) layers=$value ;;
    --sets=*) sets=$value ;;
    --programs=*) programs=$value ;;
    --torch=*) torch=$value ;;
    --llama-bench=*) llama_bench=$value ;;
    --llama-model=*) llama_model=$value ;;
    --keep=*) keep=$value ;;
    *) echo "compare_cpu.sh: unknown argument $argument; the head of the script lists them" >&2; exit 2 ;;
  esac
done
if [[ -n $llama_bench && ! -f $llama_model ]]; then
  echo "compare_cpu.sh: --llama-model: expected a file, got '$llama_model'" >&2
  exit 2
fi

here=$(dirname "$(readlink -f "$0")")
folder=$keep
if [[ -z $keep ]]; then
  folder=$(mktemp -d)
  trap 'rm -rf "$folder"' EXIT
fi
mkdir -p "$folder"
threads=$(nproc)

for ((round = 1; round <= rounds; ++round)); do
  echo "compare_cpu.sh: round $round of $rounds" >&2
  for set in ${sets//,/ }; do
    "$programs/sdar-bench" --shape="$shape" --layers="$layers" --context="$context" --batch="$batch" --rows="$rows" \
      --instruction-set="$set" --greedy --repeats=3 --json="$folder/sdar_$set.$round.json" > /dev/null
  done
  if [[ -n $torch ]]; then
    THP_MEM_ALLOC_ENABLE=1 "$torch" "$here/scripts/torch_decode.py" --shape="$shape" --layers="$layers" \
      --context="$context" --batch="$batch" --repeats=2 --json="$folder/torch.$round.json" > /dev/null
  fi
  if [[ -n $llama_bench ]]; then
    "$llama_bench" -m "$llama_model" -t "$threads" -p "$rows" -n 0 -d "$context" -r 2 -o json \
      > "$folder/llama.$round.json" 2> /dev/null
  fi
done
python3 "$here/scripts/compare_table.py" "$folder"
