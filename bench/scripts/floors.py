#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The least time that block-diffusion decoding can take on a device of a given bandwidth and arithmetic, to hold
measured tokens per second against. Needs nothing but Python.

    bench/scripts/floors.py --shape=4b --batch=1,8,32,128            # an H200's 4300 GB/s and 790 TFLOP/s
    bench/scripts/floors.py --shape=30b-a3b --ranks=4 --steps=1.5 --json=floors.json
    bench/scripts/floors.py --tables                                 # every shape, block length and context

A pass is cut into stages that run one after the other: attention's projections, MLP or experts, attention, vocabulary,
and with several ranks the all-reduces. A stage takes the longer of moving its bytes and computing its operations, and
stages add. Weights are read once per pass, and so is the K/V of the context; activations and logits stay on the chip.
The last layer counts like the others, though all but its K/V is needed for rows with logits alone.
Of E experts of which every row chooses k, independently and all equally likely, T rows need E * (1 - (1 - k/E)^T).

A block takes `steps` denoising passes of its rows; fractions are means of dynamic decoding. Its commit is a pass of its
own without logits (separate), or rides along in the next block's first pass, which then has twice the rows but reads
weights and K/V no more often (fused).
"""
import argparse
import json
import sys
from dataclasses import dataclass

VOCABULARY = 151936
BYTES = 2  # of a bfloat16


@dataclass(frozen=True)
class Shape:
    """The same numbers as runtime/checkpoint/synthetic.cc."""
    hidden: int
    layers: int
    heads: int
    kv_heads: int
    columns: int = 0  # of the MLP
    experts: int = 0
    choices: int = 0  # experts of a row
    expert_columns: int = 0
    head_dim: int = 128


SHAPES = {
    "1.7b": Shape(2048, 28, 16, 8, columns=6144),
    "4b": Shape(2560, 36, 32, 8, columns=9728),
    "8b": Shape(4096, 36, 32, 8, columns=12288),
    "30b-a3b": Shape(2048, 48, 32, 4, experts=128, choices=8, expert_columns=768),
}


@dataclass(frozen=True)
class Device:
    bandwidth: float = 4.3e12  # bytes/s that a copy reaches on an H200
    peak: float = 790e12  # operations/s that a large bfloat16 product reaches there
    ranks: int = 1  # such devices that split every layer


@dataclass(frozen=True)
class Load:
    batch: int = 128
    block_length: int = 4
    context: int = 1024
    steps: float = 4


def distinct_experts(shape, rows):
    return shape.experts * (1 - (1 - shape.choices / shape.experts) ** rows) if shape.experts else 0.0


def all_reduce_seconds(size, ranks):
    """A fit to published measurements on H100 and H200 hosts: one shot, or scatter and gather in the switch."""
    if ranks == 1:
        return 0.0
    one_shot = 4e-6 + 0.25e-6 * ranks + (ranks - 1) * size / 370e9
    return min(one_shot, 8.5e-6 + 2 * size / 450e9)


def stages(shape, load, device, rows_of_one, logit_rows_of_one):
    """Name -> (bytes, operations) of one rank in one pass."""
    ranks, rows = device.ranks, load.batch * rows_of_one
    heads, kv_heads = shape.heads / ranks, max(1.0, shape.kv_heads / ranks)  # repeated beyond their number
    positions = load.context + rows_of_one
    projections = shape.layers * shape.hidden * shape.head_dim * (2 * heads + 2 * kv_heads)
    out = {"projections": (projections * BYTES, 2 * rows * projections)}
    if shape.experts:
        expert, router = 3 * shape.hidden * shape.expert_columns / ranks, shape.hidden * shape.experts
        out["experts"] = (shape.layers * (distinct_experts(shape, rows) * expert + router) * BYTES,
                          2 * rows * shape.layers * (shape.choices * expert + router))
    else:
        mlp = shape.layers * 3 * shape.hidden * shape.columns / ranks
        out["mlp"] = (mlp * BYTES, 2 * rows * mlp)
    out["attention"] = (load.batch * positions * shape.layers * 2 * kv_heads * shape.head_dim * BYTES,
                        4 * rows * positions * heads * shape.head_dim * shape.layers)
    vocabulary = VOCABULARY * shape.hidden / ranks if logit_rows_of_one else 0
    out["vocabulary"] = (vocabulary * BYTES, 2 * load.batch * logit_rows_of_one * vocabulary)
    return out


def pass_seconds(shape, load, device, rows_of_one, logit_rows_of_one):
    """Name -> seconds."""
    times = {name: max(size / device.bandwidth, operations / device.peak)
             for name, (size, operations) in stages(shape, load, device, rows_of_one, logit_rows_of_one).items()}
    if device.ranks > 1:
        size = load.batch * rows_of_one * shape.hidden * BYTES
        # Two a layer, and for the whole pass the embedding's and the exchange of the rows' summaries.
        times["all-reduces"] = (2 * shape.layers * all_reduce_seconds(size, device.ranks) +
                                2 * (4e-6 + 0.25e-6 * device.ranks))
    return times


def floor(name, load, device):
    """A row of the tables."""
    shape, block = SHAPES[name], load.block_length
    denoising = pass_seconds(shape, load, device, block, block)
    denoise, commit, fused = (sum(times.values()) for times in (
        denoising, pass_seconds(shape, load, device, block, 0), pass_seconds(shape, load, device, 2 * block, block)))
    tokens = load.batch * block
    return {"shape": name, "batch": load.batch, "block_length": block, "context": load.context, "steps": load.steps,
            "ranks": device.ranks, "rows": tokens, "distinct_experts": distinct_experts(shape, tokens),
            "stages_ms": {stage: seconds * 1000 for stage, seconds in denoising.items()},
            "denoise_ms": denoise * 1000, "commit_ms": commit * 1000, "fused_ms": fused * 1000,
            "separate_tokens_per_s": tokens / (load.steps * denoise + commit),
            "fused_tokens_per_s": tokens / ((load.steps - 1) * denoise + fused)}


def to_markdown(rows):
    lines = ["| shape | ranks | batch | block | context | steps | ms: denoising | commit | fused | by stage, denoising "
             "| tokens/s, separate | tokens/s, fused |", "|---" * 12 + "|"]
    for r in rows:
        by_stage = ", ".join(f"{name} {ms:.2f}" for name, ms in r["stages_ms"].items())
        lines.append(f"| {r['shape']} | {r['ranks']} | {r['batch']} | {r['block_length']} | {r['context']} "
                     f"| {r['steps']:g} | {r['denoise_ms']:.2f} | {r['commit_ms']:.2f} | {r['fused_ms']:.2f} "
                     f"| {by_stage} | {r['separate_tokens_per_s']:.0f} | {r['fused_tokens_per_s']:.0f} |")
    return "\n".join(lines)


def list_of(kind, low):
    def parse(text):
        values = [kind(item) for item in text.split(",")]
        if min(values) < low:
            raise ValueError
        return values
    parse.__name__ = f"list of numbers from {low} on"
    return parse


def parse_options(arguments):
    parser = argparse.ArgumentParser(prog="floors.py", description=__doc__, allow_abbrev=False,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", default="4b,30b-a3b", help=f"of {', '.join(SHAPES)}")
    parser.add_argument("--batch", type=list_of(int, 1), default=[1, 8, 32, 128])
    parser.add_argument("--block-length", type=list_of(int, 1), default=[4])
    parser.add_argument("--context", type=list_of(int, 0), default=[1024])
    parser.add_argument("--steps", type=list_of(float, 1), default=[4.0], help="denoising passes of a block, mean")
    parser.add_argument("--ranks", type=list_of(int, 1), default=[1], help="GPUs of one host, tensor parallel")
    parser.add_argument("--bandwidth", type=float, default=4300, help="GB/s")
    parser.add_argument("--peak", type=float, default=790, help="TFLOP/s")
    parser.add_argument("--tables", action="store_true", help="every shape; blocks of 4 and 16; 256 to 16384 positions")
    parser.add_argument("--json", default="", metavar="FILE", help="file to write the rows to")
    options = parser.parse_args(arguments)
    options.shape = options.shape.split(",")
    if options.tables:
        options.shape, options.block_length, options.context = list(SHAPES), [4, 16], [256, 1024, 4096, 16384]
    unknown = [name for name in options.shape if name not in SHAPES]
    if unknown:
        parser.error(f"--shape: expected some of {', '.join(SHAPES)}, got '{unknown[0]}'")
    if options.bandwidth <= 0 or options.peak <= 0:
        parser.error("--bandwidth and --peak: expected more than 0")
    return options


def main():
    options = parse_options(sys.argv[1:])
    rows = [floor(shape, Load(batch, block, context, steps),
                  Device(options.bandwidth * 1e9, options.peak * 1e12, ranks))
            for shape in options.shape for ranks in options.ranks for block in options.block_length
            for context in options.context for steps in options.steps for batch in options.batch]
    print(to_markdown(rows))
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump({"bandwidth": options.bandwidth, "peak": options.peak, "floors": rows}, file, indent=2)


if __name__ == "__main__":
    main()
