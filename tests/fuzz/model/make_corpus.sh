#!/bin/sh
# Collects seeds for the fuzz targets of this folder from the stored models:
#   tests/fuzz/model/make_corpus.sh DIR && build/asan/bin/safetensors_fuzz DIR/safetensors
set -eu

if [ $# -ne 1 ]; then
  echo "usage: $0 DIR" >&2
  exit 2
fi
out=$1
root=$(cd "$(dirname "$0")/../../.." && pwd)
mkdir -p "$out/safetensors" "$out/config" "$out/index"

for model in "$root"/tests/golden/*/ "$root"/models/*/; do
  name=$(basename "$model")
  for file in config.json generation_config.json; do
    [ ! -f "$model$file" ] || cp "$model$file" "$out/config/$name.$file"
  done
  [ ! -f "${model}model.safetensors.index.json" ] ||
    cp "${model}model.safetensors.index.json" "$out/index/$name.json"
done

# Whole files, small ones only: the reference outputs hold few tensors of several dtypes.
for file in "$root"/tests/golden/*/expected/forward.safetensors; do
  cp "$file" "$out/safetensors/$(basename "$(dirname "$(dirname "$file")")").safetensors"
done

# One file small enough to mutate well: a header with two tensors and 8 bytes of data.
header='{"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"BF16","shape":[1,2],"data_offsets":[4,8]}}'
length=$(printf '%s' "$header" | wc -c)
{
  printf "\\$(printf '%03o' "$length")"
  printf '\0\0\0\0\0\0\0%s12345678' "$header"
} > "$out/safetensors/small.safetensors"
printf '{"metadata":{"total_size":4},"weight_map":{"a":"x.safetensors","b":"y.safetensors"}}' > "$out/index/small.json"
