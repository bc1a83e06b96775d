#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Joins what `bench/scripts/gpu.sh run` measured with bench/scripts/floors.py: one row per model, load and kind of commit, with its
tokens per second, the part of the floor and of the goal, and what torch does with the same load.

    bench/scripts/gpu_table.py FOLDER... [--out=FOLDER]      # results.md and results.json, in the first folder

Reads end-to-end-*.json (of sdar-bench) and torch-*.json (of torch_cuda_decode.py) and, for what the device itself
reached, kernels-*.json (of sdar-kernel-bench). Floors are those of an H200 unless told otherwise.
"""
import argparse
import json
import pathlib

import floors

# Tokens/s of one H200 at blocks of 4, 1024 committed positions and 4 steps, by sequences that decode together.
GOALS = {"4b": {1: 420, 8: 3000, 32: 8100, 128: 9100}, "30b-a3b": {1: 190, 8: 500, 32: 1750, 128: 5900}}


def read_all(folders, pattern):
    for folder in folders:
        for path in sorted(pathlib.Path(folder).glob(pattern)):
            try:
                yield json.loads(path.read_text(encoding="utf-8"))
            except json.JSONDecodeError:
                print(f"{path}: not complete, left out")


def key_of(results, row):
    return (results["shape"], row["batch"], results["block_length"], results["context"])


def best_torch(folders):
    """(load, eager) -> the faster of fused and separate commits."""
    best = {}
    for results in read_all(folders, "torch-*.json"):
        for row in results["decoding"]:
            key = (*key_of(results, row), results["eager"])
            best[key] = max(best.get(key, 0), row["tokens_per_s"])
    return best


def floor_of(results, row, steps, device):
    """None where no floor is known: of a shape from a file, or where routing is not uniform."""
    if results["shape"] not in floors.SHAPES or results.get("routing", "uniform") != "uniform":
        return None
    load = floors.Load(row["batch"], results["block_length"], results["context"], steps)
    floor = floors.floor(results["shape"], load, device)
    return floor["fused_tokens_per_s" if row["fused"] else "separate_tokens_per_s"]


def goal_of(results, row, steps):
    if (results["block_length"], results["context"], steps, row["fused"]) != (4, 1024, 4, True):
        return None
    if results.get("routing", "uniform") != "uniform":
        return None
    return GOALS.get(results["shape"], {}).get(row["batch"])


def join(folders, device):
    torch, rows = best_torch(folders), []
    for results in read_all(folders, "end-to-end-*.json"):
        for row in results["decoding"]:
            steps = row.get("steps", results["block_length"])
            load = key_of(results, row)
            # Torch runs as many steps as positions.
            of_torch = (lambda eager: torch.get((*load, eager)) if steps == results["block_length"] else None)
            rows.append({"shape": results["shape"], "backend": results["backend"],
                         "routing": results.get("routing", "uniform"), "batch": row["batch"],
                         "block_length": results["block_length"], "context": results["context"], "steps": steps,
                         "commit": "fused" if row["fused"] else "separate", "tokens_per_s": row["tokens_per_s"],
                         "floor": floor_of(results, row, steps, device), "goal": goal_of(results, row, steps),
                         "torch_graphs": of_torch(False), "torch_eager": of_torch(True)})
    return rows


def part(value, of):
    return "" if not of else f"{100 * value / of:.0f}%"


def number(value):
    return "" if value is None else f"{value:.0f}"


def to_markdown(rows, limits, device):
    lines = [f"Floors: {device.bandwidth / 1e9:.0f} GB/s, {device.peak / 1e12:.0f} TFLOP/s (bench/scripts/floors.py)"]
    lines += [f"Measured on {name}: {size / 1e9:.0f} GB/s, {operations / 1e12:.0f} TFLOP/s"
              for name, size, operations in limits]
    lines += ["", "| model | routing | batch | block | context | steps | commit | tokens/s | floor | of floor | goal "
              "| of goal | torch, graphs | times torch | torch, eager | times torch |", "|---" * 16 + "|"]
    for r in rows:
        measured = r["tokens_per_s"]
        times = [f"{measured / r[way]:.2f}" if r[way] else "" for way in ("torch_graphs", "torch_eager")]
        lines.append(f"| {r['shape']} | {r['routing']} | {r['batch']} | {r['block_length']} | {r['context']} "
                     f"| {r['steps']:g} | {r['commit']} | {measured:.1f} | {number(r['floor'])} "
                     f"| {part(measured, r['floor'])} | {number(r['goal'])} | {part(measured, r['goal'])} "
                     f"| {number(r['torch_graphs'])} | {times[0]} | {number(r['torch_eager'])} | {times[1]} |")
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", metavar="FOLDER")
    parser.add_argument("--out", default="", help="folder for results.md and results.json")
    parser.add_argument("--bandwidth", type=float, default=floors.Device.bandwidth / 1e9, help="GB/s")
    parser.add_argument("--peak", type=float, default=floors.Device.peak / 1e12, help="TFLOP/s")
    options = parser.parse_args()
    device = floors.Device(options.bandwidth * 1e9, options.peak * 1e12)
    rows = join(options.folders, device)
    if not rows:
        parser.exit(1, "gpu_table.py: no end-to-end-*.json there\n")
    limits = sorted({(results["backend"], results["bytes_per_s"], results["flops_per_s"])
                     for results in read_all(options.folders, "kernels-*.json")})
    text = to_markdown(rows, limits, device)
    out = pathlib.Path(options.out or options.folders[0])
    (out / "results.md").write_text(text, encoding="utf-8")
    results = {"floors": vars(device), "measured": limits, "decoding": rows}
    (out / "results.json").write_text(json.dumps(results, indent=2), encoding="utf-8")
    print(text, end="")


if __name__ == "__main__":
    main()
