#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Block-diffusion decoding in torch on a GPU, to hold `sdar-bench --device=cuda` against: the same shapes, loads
and weights, made on the device, written as well as torch allows: K/V memory of fixed place, one CUDA graph
per kind of pass, the experts of a layer as grouped products over rows sorted by expert, query heads that share K/V
heads as further rows of one attention, and the commit of a block in the next one's first pass (fused) as well as on its
own (separate). Rows are revealed greedily, which costs less than the draws that sdar-bench times.

    bench/scripts/torch_cuda_decode.py --shape=4b --batch=1,8,32,128
    bench/scripts/torch_cuda_decode.py --shape=30b-a3b --eager         # launch by launch, expert by expert
"""
import argparse
import json
import statistics
import sys
import time

import floors
import synthetic_weights
import torch_decode

torch = None  # bound by bind_torch()

PASSES_AT_ONCE = 10  # between two waits for the device


def bind_torch():
    global torch
    try:
        import torch as module
    except ImportError as error:
        sys.exit(f"torch_cuda_decode.py: torch cannot be imported ({error}); it needs a CUDA build of torch")
    torch = module
    torch_decode.torch = module  # what is shared with the CPU's way


def parse_options(arguments):
    parser = torch_decode.Parser(prog="torch_cuda_decode.py", description=__doc__, allow_abbrev=False,
                                 formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"), help="cpu: to try the script itself")
    parser.add_argument("--shape", default="4b", choices=sorted(floors.SHAPES))
    parser.add_argument("--layers", type=int, default=0, help="layers to run; times are scaled to all; 0: all")
    parser.add_argument("--batch", type=floors.list_of(int, 1), default=[1, 8, 32, 128])
    parser.add_argument("--context", type=int, default=1024, help="committed positions of every sequence")
    parser.add_argument("--block-length", type=int, default=4, help="positions of a block; as many denoising passes")
    parser.add_argument("--eager", action="store_true", help="without CUDA graphs and grouped products")
    parser.add_argument("--repeats", type=int, default=20, help=f"timed runs of {PASSES_AT_ONCE} passes")
    parser.add_argument("--json", default="", metavar="FILE", help="file to write the results to")
    options = parser.parse_args(arguments)
    for name, low, high in (("layers", 0, 1024), ("context", 0, 1 << 20), ("block_length", 1, 64),
                            ("repeats", 1, 1000)):
        if not low <= getattr(options, name) <= high:
            parser.error(f"--{name.replace('_', '-')}: expected {low} .. {high}, got {getattr(options, name)}")
    return options


def empty(*sizes, device):
    return torch.empty(sizes, dtype=torch.bfloat16, device=device)


def grouped_product(x, weights, ends):
    """x: rows sorted by group; weights: [groups, outputs, columns]; ends: [groups] int32, rows up to each group's."""
    product = getattr(torch.nn.functional, "grouped_mm", None) or torch._grouped_mm
    return product(x, weights.transpose(-2, -1), offs=ends)


class RmsNorm:
    def __init__(self, size, device):
        self.weight = torch.ones(size, dtype=torch.bfloat16, device=device)

    def __call__(self, x):
        return torch.nn.functional.rms_norm(x, self.weight.shape, self.weight, 1e-6)


class Layer:
    """Weights of q, k and v are one matrix, as are those of gate and up."""

    def __init__(self, shape, name, device, eager, fill):
        self.shape, self.eager = shape, eager
        hidden, d = shape.hidden, shape.head_dim

        def stacked(parts, columns):
            """One matrix of the named ones' rows."""
            out = empty(sum(rows for _, rows in parts), columns, device=device)
            first = 0
            for part, rows in parts:
                fill(out[first:first + rows], f"{name}.{part}.weight")
                first += rows
            return out

        self.input_norm, self.mlp_norm = RmsNorm(hidden, device), RmsNorm(hidden, device)
        self.q_norm, self.k_norm = RmsNorm(d, device), RmsNorm(d, device)
        self.qkv = stacked([("self_attn.q_proj", shape.heads * d), ("self_attn.k_proj", shape.kv_heads * d),
                            ("self_attn.v_proj", shape.kv_heads * d)], hidden)
        self.o = stacked([("self_attn.o_proj", hidden)], shape.heads * d)
        if shape.experts:
            names, columns = [f"mlp.experts.{e}" for e in range(shape.experts)], shape.expert_columns
            self.router = stacked([("mlp.gate", shape.experts)], hidden)
            self.gate_up = stacked([(f"{expert}.{part}", columns) for expert in names
                                    for part in ("gate_proj", "up_proj")], hidden).unflatten(0, (shape.experts, -1))
            self.down = stacked([(f"{expert}.down_proj", hidden) for expert in names],
                                columns).unflatten(0, (shape.experts, -1))
            self.ids = torch.arange(shape.experts, device=device)
        else:
            self.gate_up = stacked([("mlp.gate_proj", shape.columns), ("mlp.up_proj", shape.columns)], hidden)
            self.down = stacked([("mlp.down_proj", hidden)], shape.columns)

    def attend(self, q, keys, values):
        """q: [sequences, heads, rows, head_dim], all of which see all keys: heads that share them become rows."""
        rows = q.shape[2]
        out = torch.nn.functional.scaled_dot_product_attention(
            q.unflatten(1, (self.shape.kv_heads, -1)).flatten(2, 3), keys, values)
        return out.unflatten(2, (-1, rows)).flatten(1, 2)

    def attention(self, x, cache, block_length, cos, sin):
        heads, kv_heads = self.shape.heads, self.shape.kv_heads
        qkv = torch.nn.functional.linear(x, self.qkv).unflatten(-1, (-1, self.shape.head_dim)).transpose(1, 2)
        q, k, v = qkv.split((heads, kv_heads, kv_heads), dim=1)
        q, k = (torch_decode.rotate(norm(part), cos, sin) for norm, part in ((self.q_norm, q), (self.k_norm, k)))
        first, end = cache.committed, cache.committed + x.shape[1]
        keys, values = cache.of(self)
        keys[:, :, first:end], values[:, :, first:end] = k, v
        # Block by block: a block's rows see all before it and themselves, so nothing needs a mask.
        parts, seen = [], first
        for part in q.split(block_length, dim=2):
            seen += part.shape[2]
            parts.append(self.attend(part, keys[:, :, :seen], values[:, :, :seen]))
        return torch.nn.functional.linear(torch.cat(parts, dim=2).transpose(1, 2).flatten(2), self.o)

    def mlp(self, x):
        linear, silu = torch.nn.functional.linear, torch.nn.functional.silu
        if not self.shape.experts:
            gate, up = linear(x, self.gate_up).chunk(2, dim=-1)
            return linear(silu(gate) * up, self.down)
        rows = x.flatten(0, 1)
        weights, ids = torch.softmax(linear(rows, self.router).float(), dim=-1).topk(self.shape.choices)
        weights = (weights / weights.sum(-1, keepdim=True)).to(x.dtype)
        way = self.expert_by_expert if self.eager else self.grouped
        return way(rows, weights, ids).view_as(x)

    def grouped(self, rows, weights, ids):
        """Nothing here asks the device for a number, so that a graph can hold it."""
        slots = ids.flatten()
        order = slots.argsort(stable=True)
        ends = (slots[:, None] == self.ids).sum(0).cumsum(0).to(torch.int32)
        gate, up = grouped_product(rows[order // ids.shape[1]], self.gate_up, ends).chunk(2, dim=-1)
        result = grouped_product(torch.nn.functional.silu(gate) * up, self.down, ends)
        by_slot = torch.empty_like(result).index_copy_(0, order, result)
        return (by_slot.unflatten(0, ids.shape) * weights[..., None]).sum(1)

    def expert_by_expert(self, rows, weights, ids):
        linear, silu = torch.nn.functional.linear, torch.nn.functional.silu
        out = torch.zeros_like(rows)
        for expert in ids.unique().tolist():
            row, slot = torch.where(ids == expert)
            gate, up = linear(rows[row], self.gate_up[expert]).chunk(2, dim=-1)
            result = linear(silu(gate) * up, self.down[expert])
            out.index_add_(0, row, result * weights[row, slot][:, None])
        return out

    def __call__(self, x, cache, block_length, cos, sin):
        x = x + self.attention(self.input_norm(x), cache, block_length, cos, sin)
        return x + self.mlp(self.mlp_norm(x))


class Cache:
    """K/V of fixed place, [sequences, K/V heads, positions, head_dim] for each layer; `committed` stays as it is."""

    def __init__(self, model, sequences, committed, rows, make):
        sizes = (sequences, model.shape.kv_heads, committed + rows, model.shape.head_dim)
        self.committed = committed
        self.layers = {id(layer): (make(*sizes), make(*sizes)) for layer in model.layers}

    def of(self, layer):
        return self.layers[id(layer)]


class Model:
    def __init__(self, shape, layers, device, eager, fill, vocabulary=floors.VOCABULARY):
        """fill(out, name): makes up a tensor of the checkpoint."""
        self.shape, self.vocabulary = shape, vocabulary
        self.embed, self.head = (empty(vocabulary, shape.hidden, device=device) for _ in range(2))
        fill(self.embed, "model.embed_tokens.weight")
        fill(self.head, "lm_head.weight")
        self.layers = [Layer(shape, f"model.layers.{i}", device, eager, fill) for i in range(layers)]
        self.norm = RmsNorm(shape.hidden, device)
        self.frequencies = 1e6 ** -(torch.arange(0, shape.head_dim, 2, device=device).float() / shape.head_dim)

    def forward(self, ids, cache, block_length, logit_rows):
        """ids: [sequences, rows] after the committed ones. Logits of each sequence's last rows, or None."""
        positions = torch.arange(cache.committed, cache.committed + ids.shape[1], device=ids.device).float()
        angles = torch.outer(positions, self.frequencies).repeat(1, 2)
        cos, sin = angles.cos().to(self.embed.dtype), angles.sin().to(self.embed.dtype)
        x = torch.nn.functional.embedding(ids, self.embed)
        for layer in self.layers:
            x = layer(x, cache, block_length, cos, sin)
        return torch.nn.functional.linear(self.norm(x[:, -logit_rows:]), self.head) if logit_rows else None


def random_on(device):
    """What K/V memory holds."""
    return lambda *sizes: empty(*sizes, device=device).normal_()


def as_graph(run):
    """The same launches as a graph: what it returns launches it, and reads and writes where run() did."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            run()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        run()
    return graph.replay


def make_pass(model, cache, options, sequences, rows, logit_rows):
    """A pass over rows that differ, and what it reveals."""
    row_ids = torch.arange(rows, device=options.device) * 7
    ids = (torch.arange(sequences, device=options.device)[:, None] * 131 + row_ids) % model.vocabulary
    block = torch.zeros(sequences, options.block_length, dtype=torch.int64, device=options.device)
    masked = torch.ones_like(block, dtype=torch.bool)

    def run():
        logits = model.forward(ids, cache, options.block_length, logit_rows)
        if logit_rows:
            torch_decode.reveal(block, masked, logits)

    return run if options.eager or options.device == "cpu" else as_graph(run)


def time_pass(run, options):
    """Median milliseconds of one."""
    wait = torch.cuda.synchronize if options.device == "cuda" else lambda: None
    times = []
    for _ in range(options.repeats + 1):
        wait()
        begin = time.perf_counter()
        for _ in range(PASSES_AT_ONCE):
            run()
        wait()
        times.append((time.perf_counter() - begin) * 1000 / PASSES_AT_ONCE)
    return statistics.median(times[1:])


def measure(model, options, sequences, make):
    block, layers = options.block_length, len(model.layers)
    cache = Cache(model, sequences, options.context // block * block, 2 * block, make)

    def milliseconds(rows, logit_rows):
        ms = time_pass(make_pass(model, cache, options, sequences, rows, logit_rows), options)
        if layers == model.shape.layers:
            return ms
        # The layers left out would take what those that run take without logits.
        alone = ms if not logit_rows else time_pass(make_pass(model, cache, options, sequences, rows, 0), options)
        return ms + (model.shape.layers / layers - 1) * alone

    denoise, commit, fused = milliseconds(block, block), milliseconds(block, 0), milliseconds(2 * block, block)
    rows = []
    for is_fused, ms in ((True, fused + (block - 1) * denoise), (False, commit + block * denoise)):
        rows.append({"batch": sequences, "fused": is_fused, "ms_per_block": ms,
                     "tokens_per_s": sequences * block / ms * 1000,
                     "denoise_ms": denoise, "commit_ms": commit, "fused_ms": fused})
    return rows


def measure_all(model, options, make):
    """Of every batch that the device has room for."""
    rows = []
    for sequences in options.batch:
        try:
            rows += measure(model, options, sequences, make)
        except torch.cuda.OutOfMemoryError:
            print(f"torch_cuda_decode.py: no room for {sequences} sequences", file=sys.stderr)
        if options.device == "cuda":
            torch.cuda.empty_cache()
    return rows


def to_markdown(title, rows):
    lines = [title, "", "| sequences | commit | ms: denoising | commit | fused | ms per block | tokens/s |",
             "|---" * 7 + "|"]
    for r in rows:
        lines.append(f"| {r['batch']} | {'fused' if r['fused'] else 'separate'} | {r['denoise_ms']:.3f} "
                     f"| {r['commit_ms']:.3f} | {r['fused_ms']:.3f} | {r['ms_per_block']:.3f} "
                     f"| {r['tokens_per_s']:.1f} |")
    return "\n".join(lines)


def main():
    options = parse_options(sys.argv[1:])
    bind_torch()
    if options.device == "cuda" and not torch.cuda.is_available():
        sys.exit("torch_cuda_decode.py: torch finds no GPU")
    shape = floors.SHAPES[options.shape]
    layers = min(options.layers or shape.layers, shape.layers)
    where = torch.cuda.get_device_name() if options.device == "cuda" else "cpu"
    way = "eager" if options.eager else "CUDA graphs, grouped products"
    title = (f"torch {torch.__version__}, {way}, {options.shape} ({shape.layers} layers, {layers} run), bfloat16, "
             f"{where}, {options.context} committed positions per sequence, blocks of {options.block_length}")
    with torch.inference_mode():
        model = Model(shape, layers, options.device, options.eager,
                      lambda out, name: synthetic_weights.fill(torch, out, name))
        rows = measure_all(model, options, random_on(options.device))
    print(to_markdown(title, rows))
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump({"title": title, "torch": torch.__version__, "shape": options.shape, "layers_run": layers,
                       "eager": options.eager, "device": where, "context": options.context,
                       "block_length": options.block_length, "repeats": options.repeats, "decoding": rows},
                      file, indent=2)


if __name__ == "__main__":
    main()
