#!/bin/sh
# Writes seed corpora for the fuzz targets from the golden files: make_corpus.sh OUTPUT_FOLDER
set -eu
[ $# -eq 1 ] || { echo "usage: make_corpus.sh OUTPUT_FOLDER" >&2; exit 2; }
root=$(cd "$(dirname "$0")/../.." && pwd)
mkdir -p "$1/tokenizer_fuzz" "$1/chat_template_fuzz" "$1/chat_template_work_fuzz" "$1/jsonl_request_fuzz" "$1/plan_record_fuzz" \
  "$1/http_request_fuzz" "$1/request_fuzz" "$1/output_splitter_fuzz" "$1/json_schema_fuzz" "$1/regex_fuzz" \
  "$1/token_grammar_fuzz"
python3 - "$root" "$1" <<'PYTHON'
import json, pathlib, re, struct, sys

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
source = (root / "tests/text/jinja/jinja_test.cc").read_text()
templates += [bytes(s, "utf-8").decode("unicode_escape", "replace") for s in re.findall(r'"((?:[^"\\]|\\.)*\{[%{#](?:[^"\\]|\\.)*)"', source)]
for i, template in enumerate(templates):
    (out / "chat_template_fuzz" / f"template{i}").write_text(template, encoding="utf-8", errors="replace")

# Schemas and expressions, each with choices of a walk; those of tokens with each way to part an answer before them.
walk = bytes(range(0, 250, 7))
source = (root / "tests/grammar/schema/laws_test.cc").read_text()
for i, schema in enumerate(re.findall(r'R"\((.*?)\)"', source, re.S)):
    (out / "json_schema_fuzz" / f"schema{i}").write_bytes(schema.encode() + walk)
    (out / "token_grammar_fuzz" / f"schema{i}").write_bytes(bytes([i % 8]) + schema.encode() + walk)
source = (root / "tests/grammar/regular/regex_test.cc").read_text()
patterns = re.findall(r'(?:Matches|Finds)\("((?:[^"\\]|\\.)+)"', source)
for i, pattern in enumerate(patterns):
    pattern = bytes(pattern, "utf-8").decode("unicode_escape").encode("utf-8", "replace")
    (out / "regex_fuzz" / f"pattern{i}").write_bytes(pattern + walk)
    (out / "token_grammar_fuzz" / f"pattern{i}").write_bytes(bytes([i % 8]) + pattern + walk)

# Choices of chat_template_work_fuzz: every expression, over a few sets of operands.
for choice in range(124):
    for operands in (0, 60):
        seed = bytes([0, 0, choice] + [operands + (97 + i) % 24 for i in range(12)])
        (out / "chat_template_work_fuzz" / f"expression{choice}-{operands}").write_bytes(seed)

lines = [
    {"id": "a", "prompt": "Hello!", "max_tokens": 16, "temperature": 0.7, "top_k": 20, "top_p": 0.9, "min_p": 0.01, "seed": 7},
    {"prompt_ids": [1, 2, 300], "n": 3, "block_length": 8, "denoising_steps": 4, "remasking_strategy": "entropy_bounded",
     "entropy_bound": 0.5, "confidence_threshold": 0.9, "logprobs": 5, "ignore_eos": True, "min_tokens": 2},
    {"messages": [{"role": "user", "content": "Hi"}], "tools": [], "enable_thinking": False, "stop": ["\n", "ab"],
     "stop_token_ids": [3], "logit_bias": {"5": -1.5}, "repetition_penalty": 1.1, "presence_penalty": 0.1,
     "frequency_penalty": 0.2, "skip_special_tokens": False},
]
for i, line in enumerate(lines):
    (out / "jsonl_request_fuzz" / f"line{i}").write_text(json.dumps(line))


# Records of plans in protobuf's wire format: proto/sdar/v1/plan_record.proto and step_plan.proto.
def varint(n):
    return bytes([n]) if n < 128 else bytes([n & 127 | 128]) + varint(n >> 7)

def number(field, n):
    return varint(field << 3) + varint(n)

def sized(field, content):
    return varint(field << 3 | 2) + varint(len(content)) + content

def real(field, value):
    return varint(field << 3 | 5) + struct.pack("<f", value)

def packed(field, numbers):
    return sized(field, b"".join(map(varint, numbers)))

PREFILL, DENOISE, FUSED, COMMIT, DRAFT = 1, 2, 3, 4, 5

def segment(slot, phase, first, ids, masked=b"", pages=(), sampling=None, asked=()):
    return sized(5, number(1, slot) + number(2, phase) + number(3, 4) + number(4, first) + packed(5, ids) + sized(6, masked) +
                 number(7, 1) + packed(8, pages) + (b"" if sampling is None else sized(9, sampling)) + packed(10, asked))

def record(*plans):
    messages = [number(1, 1) + number(2, 1) + sized(3, b"{}") + number(5, 1)]
    messages += [sized(1, number(1, 1) + number(2, i) + plan) for i, plan in enumerate(plans)]
    return b"".join(varint(len(m)) + m for m in messages)

FORWARD, RESOLVE, IDLE = number(3, 1), number(3, 2), number(3, 3)
MASK = 39
drawing = real(1, 0.8) + number(2, 1) + number(3, 99)
penalising = (real(4, 1.2) + real(5, 0.5) + real(6, 0.25) + sized(7, number(1, 3) + real(2, -2.0)) + number(8, 4) + number(9, 2) +
              packed(10, [38]) + packed(11, [1, 2]) + sized(12, number(1, 5) + number(2, 2)))
records = {
    "decode": record(IDLE + sized(7, number(1, 39) + number(2, 40)),
                     FORWARD + segment(0, PREFILL, 0, [1, 2, 3, 4], pages=[0], sampling=b""),
                     FORWARD + segment(0, DENOISE, 4, [MASK] * 4, b"\x0f"),
                     RESOLVE + packed(6, [0, 3]),
                     FORWARD + segment(0, FUSED, 4, [5, 6, 7, 8] + [MASK] * 4, b"\xf0"),
                     FORWARD + segment(0, COMMIT, 8, [9, 10, 11, 12], pages=[1])),
    "mixed": record(FORWARD + segment(0, FUSED, 0, [1, 2, 3, 4, MASK, 5, MASK, MASK], b"\xd0", [3], drawing) +
                    segment(1, DENOISE, 0, [MASK, 7, MASK, 8], b"\x05", [], penalising),
                    FORWARD + packed(4, [0]) + segment(1, FUSED, 0, [6, 7, 6, 8] + [MASK] * 4, b"\xf0", [2]) +
                    segment(0, DENOISE, 0, [MASK] * 4, b"\x0f", [], drawing)),
    "likelihood": record(FORWARD + segment(0, PREFILL, 0, [1, 2, 3, 4], pages=[0], sampling=b"") +
                         segment(0, DRAFT, 0, [1, 2, MASK, MASK], b"\x04", asked=[3]) + segment(0, DRAFT, 4, [MASK] * 4, b"\x01", asked=[5])),
    "scores": record(FORWARD + segment(0, PREFILL, 0, [1, 2, 3, 4, 5, 6], b"\x3f", [0], b"", [2, 3, 4, 5, 6, 7])),
}

# Connections' bytes, and bodies behind the byte that says what they are.
body = json.dumps({"prompt": "Hello!", "max_tokens": 8}).encode()
host = b"Host: localhost\r\n"
connections = {
    "length": b"POST /v1/completions?a=b HTTP/1.1\r\n" + host + b"Content-Length: %d\r\n\r\n" % len(body) + body + b"\r\n",
    "chunked": b"POST / HTTP/1.1\r\n" + host + b"Transfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\nGET /",
    "pipelined": (b"GET /livez HTTP/1.1\r\n" + host + b"\r\n") * 3,
    "absolute": b"OPTIONS http://a:1/b HTTP/1.0\r\nExpect: 100-continue\r\n\r\n",
}
for name, content in connections.items():
    (out / "http_request_fuzz" / name).write_bytes(content)
for i, line in enumerate(lines[:2]):
    fields = {k: v for k, v in line.items() if k not in ("id", "prompt_ids")}
    (out / "request_fuzz" / f"completion{i}").write_bytes(b"\1" + json.dumps({"prompt": [1, 2, 300], **fields}).encode())
    fields.pop("prompt", None)
    fields.pop("logprobs", None)
    chat = {"messages": [{"role": "user", "content": "Hi"}], **fields}
    (out / "request_fuzz" / f"chat{i}").write_bytes(b"\0" + json.dumps(chat).encode())
(out / "request_fuzz" / "grpc").write_bytes(b"\2" + sized(1, b"id") + sized(2, b"Hello!"))
conversation = [{"role": "user", "content": "Hi"}]
bodies = {
    "response": (4, {"input": [*conversation, {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
                               {"type": "function_call_output", "call_id": "c", "output": "4"}],
                     "instructions": "Be brief.", "tools": [{"type": "function", "name": "f", "parameters": {}}]}),
    "messages": (5, {"system": "Be brief.", "max_tokens": 9, "messages": [*conversation, {"role": "assistant", "content": [
        {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}}]}, {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": "4"}]}]}]}),
    "score_body": (6, {"prompt": [1, 2], "text": "Hi", "top_logprobs": 2, "block_length": 8}),
}
for name, (kind, content) in bodies.items():
    (out / "request_fuzz" / name).write_bytes(bytes([kind]) + json.dumps(content).encode())
call = '<tool_call>\n{"name": "f", "arguments": {"a": [1e5, -0.1, {"b": null}], "c": "\\u00e9"}}\n</tool_call>'
outputs = {"content": "Hello!", "reasoning": "<think>\nHm.\n</think>\n\nIt is 4.", "call": f"I look.\n{call}",
           "cut": call[:-7], "calls": f"<think></think>{call}\n{call} ", "object": call[12:-13]}
for name, content in outputs.items():
    (out / "output_splitter_fuzz" / name).write_bytes(b"\3" + content.encode())
(out / "request_fuzz" / "score").write_bytes(b"\3" + sized(2, b"Hello!") + sized(6, packed(1, [1, 2, 300])) + number(7, 8) + number(8, 2))
for name, content in records.items():
    (out / "plan_record_fuzz" / name).write_bytes(content)
PYTHON
