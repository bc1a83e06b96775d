#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Block-diffusion decoding in torch, to hold sdar-bench against: the same shapes, random bfloat16 weights and the same
cores, written the way the models' reference code is. A block of B masks takes B denoising passes, each of which reveals
its most confident position, and one pass more that commits its keys and values.

Needs torch, which nothing else here does, in a virtual environment of its own:

    python3 -m venv build/torch && build/torch/bin/pip install torch numpy
    build/torch/bin/python bench/scripts/torch_decode.py --batch=1,8

Where torch has a choice it gets the faster one that gives the same answer: K/V memory that is not copied when it grows,
grouped queries without copies of the keys, no mask where nothing is masked, no logits in a pass that only commits.
sdar-bench asks for huge pages; torch does so with THP_MEM_ALLOC_ENABLE=1 in the environment.
"""
import argparse
import json
import os
import statistics
import sys
import time
from dataclasses import dataclass

torch = None  # bound by import_torch(), when the options are known to be right


@dataclass(frozen=True)
class Shape:
    """The same numbers as runtime/checkpoint/synthetic.cc."""
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    columns: int  # of the MLP
    head_dim: int = 128
    vocabulary: int = 151936
    mask: int = 151669
    rope_theta: float = 1e6
    epsilon: float = 1e-6

    def layer_parameters(self):
        attention = self.hidden * self.head_dim * (2 * self.heads + 2 * self.kv_heads)
        return attention + 3 * self.hidden * self.columns + 2 * self.hidden + 2 * self.head_dim

    def bytes_read(self, with_logits):
        """Of the weights of one pass; rows of the embedding are not worth counting."""
        head = self.vocabulary * self.hidden if with_logits else 0
        return 2 * (self.layers * self.layer_parameters() + self.hidden + head)


SHAPES = {
    "1.7b": Shape(28, 2048, 16, 8, 6144),
    "4b": Shape(36, 2560, 32, 8, 9728),
    "8b": Shape(36, 4096, 32, 8, 12288),
}


class Parser(argparse.ArgumentParser):
    def error(self, message):
        self.exit(2, f"{self.prog}: {message}\n")


def parse_options(arguments):
    parser = Parser(prog="torch_decode.py", description=__doc__, allow_abbrev=False,
                    formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", default="1.7b", help="1.7b, 4b or 8b")
    parser.add_argument("--layers", type=int, default=0, help="layers to run; times are scaled to all; 0: all")
    parser.add_argument("--batch", default="1,8", help="sequences that decode together")
    parser.add_argument("--context", type=int, default=1024, help="committed positions of every sequence")
    parser.add_argument("--block-length", type=int, default=4, help="positions of a block; as many denoising passes")
    parser.add_argument("--threads", type=int, default=0, help="threads; 0: one per core that may be used")
    parser.add_argument("--repeats", type=int, default=3, help="timed blocks, after one that is not counted")
    parser.add_argument("--json", default="", metavar="FILE", help="file to write the results to")
    options = parser.parse_args(arguments)
    if options.shape not in SHAPES:
        parser.error(f"--shape: expected one of the dense shapes {', '.join(SHAPES)}, got '{options.shape}'")
    for name, low, high in (("layers", 0, 1024), ("context", 0, 1 << 20), ("block_length", 1, 64),
                            ("threads", 0, 1024), ("repeats", 1, 1000)):
        value = getattr(options, name)
        if not low <= value <= high:
            parser.error(f"--{name.replace('_', '-')}: expected {low} .. {high}, got {value}")
    items = options.batch.split(",")
    if not all(item.isdecimal() and 1 <= int(item) <= 512 for item in items):
        parser.error(f"--batch: expected numbers from 1 to 512 separated by commas, got '{options.batch}'")
    options.batch = [int(item) for item in items]
    options.threads = options.threads or len(os.sched_getaffinity(0))
    try:
        options.json = open(options.json, "w", encoding="utf-8") if options.json else None
    except OSError:
        parser.error(f"--json: cannot create '{options.json}'")
    return options


def import_torch(threads):
    """OpenMP reads its variables when it is loaded. Threads that spin unpinned end up on one core."""
    global torch
    for name, value in (("OMP_PLACES", "cores"), ("OMP_PROC_BIND", "close"), ("OMP_NUM_THREADS", str(threads))):
        os.environ.setdefault(name, value)
    try:
        import torch as module
    except ImportError as error:
        sys.exit(f"torch_decode.py: torch cannot be imported ({error}); this script alone needs it, in a virtual "
                 "environment: python3 -m venv build/torch && build/torch/bin/pip install torch numpy")
    torch = module
    torch.set_num_threads(threads)


class Arena:
    """Random values that all matrices are copied from; each has memory of its own, as the times depend on that."""

    def __init__(self):
        # An odd number, so that the rows of a matrix differ.
        self.values = torch.randn((1 << 22) + 1).mul_(0.02).to(torch.bfloat16)

    def tensor(self, *sizes):
        out = torch.empty(sizes, dtype=torch.bfloat16)
        for part in out.view(-1).split(self.values.numel()):
            part.copy_(self.values[:part.numel()])
        return out


class RmsNorm:
    def __init__(self, size, epsilon):
        self.weight = torch.ones(size, dtype=torch.bfloat16)
        self.epsilon = epsilon

    def __call__(self, x):
        wide = x.float()
        wide = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + self.epsilon)
        return self.weight * wide.to(x.dtype)


class Cache:
    """K/V: for every layer [sequences, K/V heads, positions, head_dim], of which the first `committed` are final."""

    def __init__(self, shape, layers, arena, sequences, committed, capacity):
        sizes = (sequences, shape.kv_heads, capacity, shape.head_dim)
        self.keys = [arena.tensor(*sizes) for _ in range(layers)]
        self.values = [arena.tensor(*sizes) for _ in range(layers)]
        self.committed = committed

    def extend(self, layer, k, v):
        """Puts a block's rows after the committed ones, where the next pass writes over them; returns both."""
        end = self.committed + k.shape[2]
        self.keys[layer][:, :, self.committed:end] = k
        self.values[layer][:, :, self.committed:end] = v
        return self.keys[layer][:, :, :end], self.values[layer][:, :, :end]


def rotate(x, cos, sin):
    half = x.shape[-1] // 2
    return x * cos + torch.cat((-x[..., half:], x[..., :half]), dim=-1) * sin


class Layer:
    def __init__(self, shape, arena, index):
        self.index, self.head_dim = index, shape.head_dim
        hidden, columns = shape.hidden, shape.columns
        q_rows, kv_rows = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
        self.input_norm, self.mlp_norm = (RmsNorm(hidden, shape.epsilon) for _ in range(2))
        self.q_norm, self.k_norm = (RmsNorm(shape.head_dim, shape.epsilon) for _ in range(2))
        self.q, self.o = arena.tensor(q_rows, hidden), arena.tensor(hidden, q_rows)
        self.k, self.v = arena.tensor(kv_rows, hidden), arena.tensor(kv_rows, hidden)
        self.gate, self.up = arena.tensor(columns, hidden), arena.tensor(columns, hidden)
        self.down = arena.tensor(hidden, columns)

    def attention(self, x, cache, cos, sin):
        linear = torch.nn.functional.linear
        q, k, v = (linear(x, weight).unflatten(-1, (-1, self.head_dim)) for weight in (self.q, self.k, self.v))
        q = rotate(self.q_norm(q).transpose(1, 2), cos, sin)
        k = rotate(self.k_norm(k).transpose(1, 2), cos, sin)
        keys, values = cache.extend(self.index, k, v.transpose(1, 2))
        # Without a mask: all rows of the block see each other and all that is committed.
        out = torch.nn.functional.scaled_dot_product_attention(q, keys, values, enable_gqa=True)
        return linear(out.transpose(1, 2).flatten(2), self.o)

    def mlp(self, x):
        linear, silu = torch.nn.functional.linear, torch.nn.functional.silu
        return linear(silu(linear(x, self.gate)) * linear(x, self.up), self.down)

    def __call__(self, x, cache, cos, sin):
        x = x + self.attention(self.input_norm(x), cache, cos, sin)
        return x + self.mlp(self.mlp_norm(x))


class Model:
    def __init__(self, shape, layers, arena, progress):
        self.shape = shape
        self.embed = arena.tensor(shape.vocabulary, shape.hidden)
        self.head = arena.tensor(shape.vocabulary, shape.hidden)
        self.layers = []
        for index in range(layers):
            progress(f"making weights, layer {index + 1} of {layers}")
            self.layers.append(Layer(shape, arena, index))
        self.norm = RmsNorm(shape.hidden, shape.epsilon)
        self.frequencies = shape.rope_theta ** -(torch.arange(0, shape.head_dim, 2).float() / shape.head_dim)

    def forward(self, ids, cache, with_logits):
        """ids: [sequences, rows] after the committed ones. Returns logits [sequences, rows, vocabulary] or None."""
        positions = torch.arange(cache.committed, cache.committed + ids.shape[1]).float()
        angles = torch.outer(positions, self.frequencies).repeat(1, 2)
        cos, sin = angles.cos().to(self.embed.dtype), angles.sin().to(self.embed.dtype)
        x = torch.nn.functional.embedding(ids, self.embed)
        for layer in self.layers:
            x = layer(x, cache, cos, sin)
        return torch.nn.functional.linear(self.norm(x), self.head) if with_logits else None


def reveal(ids, masked, logits):
    """low_confidence_static: every sequence's most confident masked position gets its likeliest token. What is masked
    is kept apart from the ids, as that token may be the mask."""
    confidence, tokens = torch.softmax(logits, dim=-1, dtype=torch.float32).max(dim=-1)
    chosen = torch.where(masked, confidence, -1.0).argmax(dim=-1, keepdim=True)
    ids.scatter_(1, chosen, tokens.gather(1, chosen))
    masked.scatter_(1, chosen, False)


def decode_block(model, cache, sequences, length):
    """Returns the tokens, the milliseconds of each denoising pass and those of the commit."""
    ids = torch.full((sequences, length), model.shape.mask)
    masked = torch.ones_like(ids, dtype=torch.bool)
    denoising = []
    for _ in range(length):
        begin = time.perf_counter()
        reveal(ids, masked, model.forward(ids, cache, True))
        denoising.append((time.perf_counter() - begin) * 1000)
    assert not masked.any()
    begin = time.perf_counter()
    model.forward(ids, cache, False)
    cache.committed += length
    return ids, denoising, (time.perf_counter() - begin) * 1000


def measure(model, arena, sequences, options, progress):
    shape, length, layers = model.shape, options.block_length, len(model.layers)
    context = options.context // length * length  # whole blocks, as in sdar-bench
    cache = Cache(shape, layers, arena, sequences, context, context + length * (options.repeats + 1))
    denoising, commits = [], []
    for block in range(options.repeats + 1):
        progress(f"{sequences} sequences, block {block} of {options.repeats}")
        _, passes, commit = decode_block(model, cache, sequences, length)
        # A commit runs the layers alone, so it tells what those left out would take; the vocabulary is not scaled.
        skipped = (shape.layers / layers - 1) * commit
        if block > 0:
            denoising += [ms + skipped for ms in passes]
            commits.append(commit + skipped)
    denoise_ms, commit_ms = statistics.median(denoising), statistics.median(commits)
    block_ms = denoise_ms * length + commit_ms
    return {"batch": sequences, "denoise_ms": denoise_ms, "commit_ms": commit_ms, "ms_per_block": block_ms,
            "tokens_per_s": sequences * length / block_ms * 1000,
            "denoise_weight_bytes": shape.bytes_read(True), "commit_weight_bytes": shape.bytes_read(False),
            "denoise_bytes_per_s": shape.bytes_read(True) / denoise_ms * 1000,
            "commit_bytes_per_s": shape.bytes_read(False) / commit_ms * 1000}


def to_markdown(title, results):
    lines = [title, "", "| sequences | ms, denoising pass | ms, commit pass | ms per block | tokens/s "
             "| GB of weights, denoising | GB/s | GB of weights, commit | GB/s |", "|---" * 9 + "|"]
    for r in results:
        lines.append(f"| {r['batch']} | {r['denoise_ms']:.1f} | {r['commit_ms']:.1f} | {r['ms_per_block']:.1f} "
                     f"| {r['tokens_per_s']:.2f} "
                     f"| {r['denoise_weight_bytes'] / 1e9:.2f} | {r['denoise_bytes_per_s'] / 1e9:.1f} "
                     f"| {r['commit_weight_bytes'] / 1e9:.2f} | {r['commit_bytes_per_s'] / 1e9:.1f} |")
    return "\n".join(lines)


def show_progress(text):
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def main():
    options = parse_options(sys.argv[1:])
    import_torch(options.threads)
    shape = SHAPES[options.shape]
    layers = min(options.layers or shape.layers, shape.layers)
    scaled = f", scaled from {layers}" if layers < shape.layers else ""
    title = (f"torch {torch.__version__}, eager, {options.shape} ({shape.layers} layers{scaled}), bfloat16, "
             f"{torch.get_num_threads()} threads, {options.context} committed positions per sequence, "
             f"blocks of {options.block_length}")
    with torch.inference_mode():
        arena = Arena()
        model = Model(shape, layers, arena, show_progress)
        results = [measure(model, arena, sequences, options, show_progress) for sequences in options.batch]
    show_progress("")
    print(to_markdown(title, results))
    if options.json:
        with options.json as file:
            json.dump({"title": title, "torch": torch.__version__, "shape": options.shape, "layers_run": layers,
                       "dtype": "bfloat16", "threads": torch.get_num_threads(), "context": options.context,
                       "block_length": options.block_length, "repeats": options.repeats, "decoding": results},
                      file, indent=2)


if __name__ == "__main__":
    main()
