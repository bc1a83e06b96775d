# SPDX-License-Identifier: Apache-2.0
"""What the compiler made of the CUDA kernels, for every architecture of the build: nothing is spilled, tensor cores and
asynchronous copies are used where they are meant to be, and on sm_90a, which the kernels are written for, as many
blocks fit a multiprocessor as it is meant to hold. Looks into the machine code where cuobjdump and nvdisasm are in
PATH, else into the PTX.

    compiled_kernels_test.py --nvcc=/usr/local/cuda/bin/nvcc --architectures="90a-real"
"""

import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

SOURCE = pathlib.Path(os.environ["SDAR_SOURCE_DIR"])
REGISTERS = 65536  # of a multiprocessor; a thread's are a multiple of 8

# Threads of a block, and blocks that a multiprocessor of sm_90a is to hold. Kernels that only move data want
# all 2048 threads.
OCCUPANCY = {
    ("block_attention", "BlockAttentionKernel"): (128, 2),
    ("block_attention", "JoinSplitsKernel"): (32, 32),
    ("expert_mma", "ExpertProductKernel"): (128, 4),
    ("expert_mma", "PlainProductKernel"): (32, 32),
    ("expert_wgmma", "ExpertProductKernel"): (128, 3),
    ("experts", "CombineSlotsKernel"): (128, 16),
    ("experts", "GroupSlotsKernel"): (1024, 1),
    ("norms", "AddRmsNormKernel"): (256, 8),
    ("norms", "QkNormRopeWriteKernel"): (128, 16),
    ("plain_attention", "PlainAttentionKernel"): (32, 16),
    ("route", "RouteKernel"): (128, 8),
    ("rows", "EmbedKernel"): (256, 8),
    ("rows", "GatherRowsKernel"): (256, 8),
    ("rows", "ScatterAddRowsKernel"): (256, 8),
    ("rows", "SwiGluKernel"): (256, 8),
    ("summarize_logits", "SummarizeLogitsKernel"): (1024, 1),
    ("synthetic", "FillSyntheticKernel"): (256, 8),
}
IN_PTX = {
    "block_attention": ("mma.sync.aligned.m16n8k16", "cp.async.cg"),
    "expert_mma": ("mma.sync.aligned.m16n8k16", "cp.async.cg"),
    "expert_wgmma": ("wgmma.mma_async", "cp.async.cg"),
}
IN_MACHINE_CODE = {
    "block_attention": ("HMMA.16816", "LDGSTS"),
    "expert_mma": ("HMMA.16816", "LDGSTS"),
    "expert_wgmma": ("HGMMA", "LDGSTS"),
}


class Failures:
    def __init__(self):
        self.count = 0

    def add(self, text):
        print(f"FAILED: {text}")
        self.count += 1


def parse_usage(text):
    """ptxas -v as rows of (mangled name, registers, spilled bytes)."""
    rows = []
    for part in re.split(r"Compiling entry function '", text)[1:]:
        spilled = sum(int(n) for n in re.findall(r"(\d+) bytes spill (?:stores|loads)", part))
        rows.append((part.split("'")[0], int(re.search(r"Used (\d+) registers", part)[1]), spilled))
    return rows


def readable(names):
    if not names or not shutil.which("c++filt"):
        return names
    done = subprocess.run(["c++filt", *names], capture_output=True, text=True, check=True)
    return [re.sub(r"\(anonymous namespace\)::|sdar::cuda::|^void ", "", name).split("(")[0]
            for name in done.stdout.splitlines()]


def most_registers(file, mangled, architecture):
    """None for a kernel that is not in the table."""
    kernel = re.search(r"\d([A-Z][A-Za-z]*Kernel)", mangled)
    threads, blocks = OCCUPANCY.get((file, kernel[1] if kernel else mangled), (0, 0))
    if not threads:
        return None
    return min(255, REGISTERS // (threads * blocks) // 8 * 8) if architecture == "90a" else 255


def compile_kernel(options, file, architecture, folder):
    ptx, cubin = folder / f"{file.stem}.ptx", folder / f"{file.stem}.cubin"
    subprocess.run([options.nvcc, "-ptx", f"-arch=compute_{architecture}", "-std=c++20", "-O3", "-DNDEBUG",
                    "--expt-relaxed-constexpr", "-I", SOURCE, "-o", ptx, file], check=True)
    done = subprocess.run([pathlib.Path(options.nvcc).parent / "ptxas", f"-arch=sm_{architecture}", "-v", ptx, "-o",
                           cubin], check=True, capture_output=True, text=True)
    return ptx, cubin, parse_usage(done.stderr)


def check_usage(file, usage, architecture, failures):
    for (mangled, registers, spilled), name in zip(usage, readable([row[0] for row in usage])):
        most = most_registers(file.stem, mangled, architecture)
        print(f"| {file.name} | {name} | {registers} | {most} | {spilled} |")
        if most is None:
            failures.add(f"{name} is not in this test's table: say how many blocks a multiprocessor is to hold")
        elif registers > most:
            failures.add(f"{name} takes {registers} registers, at most {most} leave room for its blocks")
        if spilled:
            failures.add(f"{name} spills {spilled} bytes")


def check_instructions(what, file, text, wanted_ones, failures):
    for wanted in wanted_ones:
        count = text.count(wanted)
        print(f"{what} of {file.name}: {count} x {wanted}")
        if count == 0:
            failures.add(f"{file.name}: no {wanted} in its {what}")


def check(options, architecture, folder, disassembler, failures):
    print(f"\nsm_{architecture}\n\n| file | kernel | registers | at most | bytes spilled |\n|---|---|---|---|---|")
    made = []
    for file in sorted((SOURCE / "kernels/cuda").glob("*.cu")):
        ptx, cubin, usage = compile_kernel(options, file, architecture, folder)
        check_usage(file, usage, architecture, failures)
        made.append((file, ptx, cubin))
    print()
    for file, ptx, cubin in made:
        if file.stem == "expert_wgmma" and architecture != "90a":
            continue  # no other has wgmma, and the kernel is not launched there
        check_instructions("PTX", file, ptx.read_text(), IN_PTX.get(file.stem, ()), failures)
        if disassembler and file.stem in IN_MACHINE_CODE:
            code = subprocess.run([disassembler, "-sass", cubin], check=True, capture_output=True, text=True).stdout
            check_instructions("machine code", file, code, IN_MACHINE_CODE[file.stem], failures)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nvcc", default="nvcc")
    parser.add_argument("--architectures", default="90a-real", help="as CMAKE_CUDA_ARCHITECTURES")
    options = parser.parse_args()
    options.nvcc = shutil.which(options.nvcc)
    failures = Failures()
    disassembler = shutil.which("cuobjdump") if shutil.which("nvdisasm") else None
    if disassembler is None:
        print("cuobjdump and nvdisasm are not in PATH: the PTX is looked into, not the machine code")
    for architecture in dict.fromkeys(re.findall(r"\d+[a-z]?", options.architectures)):
        with tempfile.TemporaryDirectory() as folder:
            check(options, architecture, pathlib.Path(folder), disassembler, failures)
    sys.exit(1 if failures.count else 0)


if __name__ == "__main__":
    main()
