#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The table of bench/compare_cpu.sh, from what its rounds wrote: medians, and ratios to the first instruction set."""
import json
import pathlib
import statistics
import sys
from collections import defaultdict


def read_rounds(folder):
    """What each competitor wrote, in the order of its rounds."""
    rounds = defaultdict(list)
    for path in sorted(folder.glob("*.json"), key=lambda path: int(path.name.split(".")[-2])):
        rounds[path.name.split(".")[0]].append(json.loads(path.read_text()))
    return rounds


def passes_of(name, result):
    """Milliseconds by what a pass is: (sequences, rows of each, rows with logits)."""
    if name == "llama":
        return {(1, test["n_prompt"], None): 1000 * test["n_prompt"] / test["avg_ts"] for test in result}
    if name == "torch":
        length = result["block_length"]
        return {(row["batch"], length, length): row["denoise_ms"] for row in result["decoding"]}
    return {(row["sequences"], row["rows"], row["logit_rows"]): row["median_ms"] for row in result["passes"]}


def decoding_of(name, result):
    """Tokens per second by sequences: fused commits and logits of masked rows where they are known."""
    if name == "llama":
        return {}
    if name == "torch":
        return {row["batch"]: row["tokens_per_s"] for row in result["decoding"]}
    return {row["batch"]: row["masked_tokens_per_s"] for row in result["decoding"] if row["fused"]}


def plain_of(result):
    return {(row["sequences"], row["rows"], row["logit_rows"]): row["bytes_per_s"] / row["plain_bytes_per_s"]
            for row in result["passes"]}


def medians(results, read):
    values = defaultdict(list)
    for result in results:
        for key, value in read(result).items():
            values[key].append(value)
    return {key: (statistics.median(found), min(found), max(found)) for key, found in values.items()}


def cell(value, digits):
    if value is None:
        return ""
    middle, low, high = value
    return f"{middle:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def table(title, names, columns, first, better_is_less, digits):
    lines = [f"| {title} | " + " | ".join(names) + " | " + " | ".join(f"{first} to {name}" for name in names[1:]) + " |",
             "|---" * (2 * len(names)) + "|"]
    for key in sorted({key for column in columns for key in column}, key=str):
        found = [column.get(key) for column in columns]
        ratios = []
        for value in found[1:]:
            known = value is not None and found[0] is not None
            ratio = (value[0] / found[0][0] if better_is_less else found[0][0] / value[0]) if known else None
            ratios.append("" if ratio is None else f"{ratio:.2f}")
        label = " x ".join(str(part) for part in key[:2]) if isinstance(key, tuple) else str(key)
        if isinstance(key, tuple) and key[2] is not None:
            label += f", {key[2]} with logits"
        lines.append(f"| {label} | " + " | ".join(cell(value, digits) for value in found) + " | " + " | ".join(ratios) + " |")
    return "\n".join(lines)


def main():
    rounds = read_rounds(pathlib.Path(sys.argv[1]))
    sets = [name for name in rounds if name.startswith("sdar_")]
    names = sets + [name for name in ("torch", "llama") if name in rounds]
    first = names[0]
    model = rounds[first][0]
    print(f"{model['model']}, {model['context']} committed positions, {len(rounds[first])} rounds in turn: "
          "medians (least to most)\n")
    print(table("ms of a pass", names, [medians(rounds[n], lambda r, n=n: passes_of(n, r)) for n in names], first, True, 1))
    print()
    print(table("tokens/s by sequences", names, [medians(rounds[n], lambda r, n=n: decoding_of(n, r)) for n in names],
                first, False, 2))
    print()
    print(table("part of a plain read", sets, [medians(rounds[n], plain_of) for n in sets], first, False, 2))


if __name__ == "__main__":
    main()
