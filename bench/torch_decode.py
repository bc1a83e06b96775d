#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Block-diffusion decoding in torch, to hold sdar-bench against: the same shape, random weights, the
same cores, written the way the models' reference scripts are. A block of B masks takes B denoising
passes that each reveal its most confident position, and one pass more that stores its keys and
values. Needs torch, in a virtual environment of its own:

    python3 -m venv build/torch && build/torch/bin/pip install torch numpy
    build/torch/bin/python bench/torch_decode.py --batch=1,8
"""
import argparse
import json
import os
import statistics
import sys
import time

SHAPES = {  # layers, hidden, heads, K/V heads, MLP columns
    "1.7b": (28, 2048, 16, 8, 6144),
    "4b": (36, 2560, 32, 8, 9728),
    "8b": (36, 4096, 32, 8, 12288),
}
HEAD_DIM = 128
VOCABULARY = 151936
MASK = 151669
ROPE_THETA = 1e6
EPSILON = 1e-6


def parse_args():
    def counts(text):
        values = [int(item) for item in text.split(",")]
        if min(values) < 1:
            raise argparse.ArgumentTypeError("expected numbers from 1 on")
        return values

    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--shape", choices=sorted(SHAPES), default="1.7b")
    parser.add_argument("--layers", type=int, default=0, help="layers to run; times are scaled to all; 0: all")
    parser.add_argument("--batch", type=counts, default=[1, 8], help="sequences that decode together")
    parser.add_argument("--context", type=int, default=1024, help="committed positions of every sequence")
    parser.add_argument("--block-length", type=int, default=4)
    parser.add_argument("--threads", type=int, default=0, help="0: one per core that may be used")
    parser.add_argument("--repeats", type=int, default=3, help="timed blocks, after one that is not counted")
    parser.add_argument("--json", default="", help="file to write the results to")
    return parser.parse_args()


def import_torch(threads):
    """Imports torch with its threads pinned: unpinned ones that spin end up on one core."""
    os.environ.setdefault("OMP_PLACES", "cores")
    os.environ.setdefault("OMP_PROC_BIND", "close")
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))
    try:
        import torch
    except ImportError:
        sys.exit("torch_decode.py: torch is not installed here; install it in a virtual environment: "
                 "pip install torch numpy")
    torch.set_num_threads(threads)
    return torch


ARGS = parse_args()
THREADS = ARGS.threads or len(os.sched_getaffinity(0))
torch = import_torch(THREADS)
F = torch.nn.functional


def random_matrix(rows, cols):
    """Memory of its own, filled from few random values: times depend on sizes alone."""
    values = torch.randn(1 << 20, dtype=torch.float32).mul_(0.02).to(torch.bfloat16)
    flat = torch.empty(rows * cols, dtype=torch.bfloat16)
    for begin in range(0, flat.numel(), values.numel()):
        part = flat[begin:begin + values.numel()]
        part.copy_(values[:part.numel()])
    return flat.view(rows, cols)


class RmsNorm:
    def __init__(self, size):
        self.weight = torch.ones(size, dtype=torch.bfloat16)

    def __call__(self, x):
        wide = x.float()
        wide = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + EPSILON)
        return self.weight * wide.to(torch.bfloat16)


def rotate(x, cos, sin):
    half = x.shape[-1] // 2
    turned = torch.cat((-x[..., half:], x[..., :half]), dim=-1)
    return x * cos + turned * sin


class Layer:
    def __init__(self, hidden, heads, kv_heads, columns, batch, positions):
        self.heads, self.kv_heads = heads, kv_heads
        self.input_norm, self.mlp_norm = RmsNorm(hidden), RmsNorm(hidden)
        self.q_norm, self.k_norm = RmsNorm(HEAD_DIM), RmsNorm(HEAD_DIM)
        self.q = random_matrix(heads * HEAD_DIM, hidden)
        self.k = random_matrix(kv_heads * HEAD_DIM, hidden)
        self.v = random_matrix(kv_heads * HEAD_DIM, hidden)
        self.o = random_matrix(hidden, heads * HEAD_DIM)
        self.gate, self.up = random_matrix(columns, hidden), random_matrix(columns, hidden)
        self.down = random_matrix(hidden, columns)
        # As transformers' cache of a known length: [batch, heads, positions, head_dim].
        self.keys = torch.randn(batch, kv_heads, positions, HEAD_DIM).to(torch.bfloat16)
        self.values = torch.randn(batch, kv_heads, positions, HEAD_DIM).to(torch.bfloat16)

    def attention(self, x, first, cos, sin):
        batch, rows, _ = x.shape

        def split(weight, heads):
            return F.linear(x, weight).view(batch, rows, heads, HEAD_DIM)

        q = rotate(self.q_norm(split(self.q, self.heads)).transpose(1, 2), cos, sin)
        k = rotate(self.k_norm(split(self.k, self.kv_heads)).transpose(1, 2), cos, sin)
        # A block's rows stand behind the committed ones; the next pass writes over them.
        self.keys[:, :, first:first + rows] = k
        self.values[:, :, first:first + rows] = split(self.v, self.kv_heads).transpose(1, 2)
        group = self.heads // self.kv_heads
        k = self.keys[:, :, :first + rows].repeat_interleave(group, dim=1)
        v = self.values[:, :, :first + rows].repeat_interleave(group, dim=1)
        out = F.scaled_dot_product_attention(q, k, v)
        return F.linear(out.transpose(1, 2).reshape(batch, rows, -1), self.o)

    def __call__(self, x, first, cos, sin):
        x = x + self.attention(self.input_norm(x), first, cos, sin)
        normed = self.mlp_norm(x)
        return x + F.linear(F.silu(F.linear(normed, self.gate)) * F.linear(normed, self.up), self.down)


class Model:
    def __init__(self, shape, layers, batch, positions):
        _, hidden, heads, kv_heads, columns = SHAPES[shape]
        self.embed = random_matrix(VOCABULARY, hidden)
        self.head = random_matrix(VOCABULARY, hidden)
        self.layers = [Layer(hidden, heads, kv_heads, columns, batch, positions) for _ in range(layers)]
        self.norm = RmsNorm(hidden)
        inverse = 1.0 / ROPE_THETA ** (torch.arange(0, HEAD_DIM, 2).float() / HEAD_DIM)
        angles = torch.outer(torch.arange(positions).float(), inverse).repeat(1, 2)
        self.cos, self.sin = angles.cos().to(torch.bfloat16), angles.sin().to(torch.bfloat16)

    def forward(self, ids, first, with_logits):
        """Runs a block's rows behind `first` committed positions: ids [batch, rows]."""
        cos, sin = self.cos[first:first + ids.shape[1]], self.sin[first:first + ids.shape[1]]
        x = F.embedding(ids, self.embed)
        for layer in self.layers:
            x = layer(x, first, cos, sin)
        return F.linear(self.norm(x), self.head) if with_logits else None


def reveal(ids, logits):
    """Sets every sequence's most confident masked position to its likeliest token."""
    confidence, tokens = F.softmax(logits.float(), dim=-1).max(dim=-1)
    masked = ids == MASK
    chosen = torch.where(masked, confidence, -1.0).argmax(dim=-1, keepdim=True)
    ids.scatter_(1, chosen, tokens.gather(1, chosen))


def timed(call):
    begin = time.perf_counter()
    call()
    return (time.perf_counter() - begin) * 1000


def decode_block(model, batch, first, length):
    """Decodes one block; milliseconds of its denoising passes and of the commit."""
    ids = torch.full((batch, length), MASK)
    denoising = []
    for _ in range(length):
        denoising.append(timed(lambda: reveal(ids, model.forward(ids, first, True))))
    assert not (ids == MASK).any()
    return denoising, timed(lambda: model.forward(ids, first, False))


def measure(batch, layers):
    args, length = ARGS, ARGS.block_length
    all_layers = SHAPES[args.shape][0]
    model = Model(args.shape, layers, batch, args.context + length * (args.repeats + 1))
    denoising, commits = [], []
    for block in range(args.repeats + 1):
        passes, commit = decode_block(model, batch, args.context + block * length, length)
        if block > 0:
            denoising += passes
            commits.append(commit)
        if sys.stderr.isatty():
            print(f"batch {batch}: block {block} of {args.repeats}", end="\r", file=sys.stderr)
    # The commit runs the layers alone; what a denoising pass takes beyond it is the vocabulary's.
    denoise, commit = statistics.median(denoising), statistics.median(commits)
    skipped = (all_layers / layers - 1) * commit
    denoise, commit = denoise + skipped, commit + skipped
    block_ms = denoise * length + commit
    return {"batch": batch, "denoise_ms": denoise, "commit_ms": commit, "ms_per_block": block_ms,
            "tokens_per_s": batch * length / block_ms * 1000}


def main():
    layers = min(ARGS.layers or SHAPES[ARGS.shape][0], SHAPES[ARGS.shape][0])
    title = (f"torch {torch.__version__}, eager, bfloat16, {ARGS.shape}, {layers} of {SHAPES[ARGS.shape][0]} layers, "
             f"{THREADS} threads, {ARGS.context} committed positions, blocks of {ARGS.block_length}")
    with torch.inference_mode():
        results = [measure(batch, layers) for batch in ARGS.batch]
    print(title + "\n")
    print("| sequences | ms, denoising pass | ms, commit pass | ms per block | tokens/s |\n|---|---|---|---|---|")
    for r in results:
        print(f"| {r['batch']} | {r['denoise_ms']:.1f} | {r['commit_ms']:.1f} | {r['ms_per_block']:.1f} "
              f"| {r['tokens_per_s']:.2f} |")
    if ARGS.json:
        with open(ARGS.json, "w", encoding="utf-8") as file:
            json.dump({"title": title, "torch": torch.__version__, "threads": THREADS,
                       "decoding": results}, file, indent=2)


if __name__ == "__main__":
    main()
