#!/bin/sh
# Writes seed corpora for the fuzz targets from the golden files: make_corpus.sh OUTPUT_FOLDER
set -eu
[ $# -eq 1 ] || { echo "usage: make_corpus.sh OUTPUT_FOLDER" >&2; exit 2; }
root=$(cd "$(dirname "$0")/../.." && pwd)
mkdir -p "$1/tokenizer_fuzz" "$1/chat_template_fuzz"
python3 - "$root" "$1" <<'PYTHON'
import json, pathlib, re, sys

root, out = map(pathlib.Path, sys.argv[1:])
model = root / "models/sdar-tiny"
spec = json.loads((model / "tokenizer.json").read_text())
config = json.loads((model / "tokenizer_config.json").read_text())
# The bytes alone, with a few merges: small enough to mutate.
vocab = {token: i for token, i in spec["model"]["vocab"].items() if len(token) == 1}
for a, b in spec["model"]["merges"][:20]:
    if a in vocab and b in vocab:
        vocab[a + b] = spec["model"]["vocab"][a + b]
spec["model"]["vocab"] = vocab
spec["model"]["merges"] = [[a, b] for a, b in spec["model"]["merges"][:20] if a + b in vocab and a in vocab and b in vocab]
seed = json.dumps(spec, ensure_ascii=False).encode() + b"\0" + json.dumps(config).encode() + b"\0"
golden = json.loads((root / "tests/golden/text-tiny.json").read_text())
for i, case in enumerate(golden["texts"][:60]):
    (out / "tokenizer_fuzz" / f"text{i}").write_bytes(seed + case["text"].encode())
templates = [config["chat_template"]]
source = (root / "tests/text/jinja_test.cc").read_text()
templates += [bytes(s, "utf-8").decode("unicode_escape", "replace") for s in re.findall(r'"((?:[^"\\]|\\.)*\{[%{#](?:[^"\\]|\\.)*)"', source)]
for i, template in enumerate(templates):
    (out / "chat_template_fuzz" / f"template{i}").write_text(template, encoding="utf-8", errors="replace")
PYTHON
