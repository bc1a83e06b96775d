# SPDX-License-Identifier: Apache-2.0
"""bench/scripts/torch_cuda_decode.py: what it says where something is missing, and, where there is torch, that its ways of
computing the same give the same."""

import argparse
import json
import os
import pathlib
import struct
import subprocess
import sys
import tempfile
import unittest

SCRIPT = pathlib.Path(os.environ["SDAR_SOURCE_DIR"]) / "bench/scripts/torch_cuda_decode.py"
sys.path.insert(0, str(SCRIPT.parent))
import floors  # noqa: E402
import synthetic_weights as weights  # noqa: E402
import torch_cuda_decode as decode  # noqa: E402

try:
    import torch
except ImportError:
    torch = None

DENSE = floors.Shape(64, 2, 4, 2, columns=96, head_dim=16)
EXPERTS = floors.Shape(64, 2, 4, 2, experts=8, choices=2, expert_columns=32, head_dim=16)


def read_safetensors(folder):
    """Bytes by tensor."""
    tensors = {}
    for path in folder.glob("*.safetensors"):
        content = path.read_bytes()
        begin = 8 + struct.unpack("<Q", content[:8])[0]
        for name, entry in json.loads(content[8:begin]).items():
            if name != "__metadata__":
                first, last = entry["data_offsets"]
                tensors[name] = content[begin + first:begin + last]
    return tensors


class Options(unittest.TestCase):
    def test_without_torch_it_says_so_in_one_line(self):
        # -S: without the installed packages, of which one may be torch; -P would hide the scripts next to it.
        done = subprocess.run([sys.executable, "-S", SCRIPT], capture_output=True, text=True, timeout=60)
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertRegex(done.stderr, r"^torch_cuda_decode\.py: torch cannot be imported .*\n$")

    def test_a_wrong_option_is_named_in_one_line(self):
        for option in ("--shape=nope", "--layers=-1", "--batch=0", "--block-length=65", "--repeats=0", "--device=tpu"):
            with self.subTest(option):
                done = subprocess.run([sys.executable, "-S", SCRIPT, option], capture_output=True, text=True,
                                      timeout=60)
                self.assertEqual((done.returncode, done.stdout), (2, ""))
                self.assertRegex(done.stderr, rf"^torch_cuda_decode\.py: .*{option.split('=')[0]}\b.*\n$")


@unittest.skipIf(torch is None, "torch is not installed")
class Computation(unittest.TestCase):
    def setUp(self):
        decode.bind_torch()
        torch.manual_seed(7)
        # Large enough that what a row sees makes a difference in bfloat16.
        self.make = lambda *sizes: torch.empty(sizes, dtype=torch.bfloat16).normal_(0, 0.15)

    def model(self, shape, eager=False):
        return decode.Model(shape, shape.layers, "cpu", eager, lambda out, _: out.normal_(0, 0.15), vocabulary=100)

    def test_weights_are_those_of_the_synthesized_checkpoint(self):
        shape = floors.Shape(64, 3, 8, 4, experts=16, choices=4, expert_columns=48, head_dim=16)
        with tempfile.TemporaryDirectory() as folder:
            made = pathlib.Path(folder) / "made"
            program = pathlib.Path(os.environ["SDAR_BIN_DIR"]) / "sdar-checkpoint"
            config = pathlib.Path(os.environ["SDAR_SOURCE_DIR"]) / "tests/golden/moe/config.json"
            subprocess.run([program, "synthesize", f"--shape={config}", made], check=True, capture_output=True,
                           timeout=60)
            stored = read_safetensors(made)
        model = decode.Model(shape, 3, "cpu", False, lambda out, name: weights.fill(torch, out, name), vocabulary=320)
        layer = model.layers[1]
        prefix = "model.layers.1."
        made_up = {"model.embed_tokens": model.embed, "lm_head": model.head,
                   prefix + "self_attn.q_proj": layer.qkv[:128], prefix + "self_attn.v_proj": layer.qkv[192:],
                   prefix + "mlp.gate": layer.router, prefix + "mlp.experts.5.gate_proj": layer.gate_up[5, :48],
                   prefix + "mlp.experts.5.up_proj": layer.gate_up[5, 48:],
                   prefix + "mlp.experts.7.down_proj": layer.down[7]}
        for name, tensor in made_up.items():
            with self.subTest(name):
                self.assertEqual(tensor.contiguous().view(torch.int16).numpy().tobytes(), stored[name + ".weight"])

    def test_grouped_experts_are_the_same_as_one_by_one(self):
        layer = self.model(EXPERTS).layers[0]
        x = self.make(3, 5, EXPERTS.hidden) * 5
        grouped = layer.mlp(x)
        layer.eager = True
        torch.testing.assert_close(grouped, layer.mlp(x), rtol=0.05, atol=0.02)

    def test_a_fused_pass_is_a_commit_and_then_a_denoising_pass(self):
        for shape in (DENSE, EXPERTS):
            with self.subTest(shape):
                model = self.model(shape)
                ids = torch.randint(0, 100, (3, 8))
                cache = decode.Cache(model, 3, 12, 8, self.make)
                fused = model.forward(ids, cache, 4, 4)
                model.forward(ids[:, :4], cache, 4, 0)
                cache.committed = 16
                after = model.forward(ids[:, 4:], cache, 4, 4)
                torch.testing.assert_close(fused, after, rtol=0.05, atol=0.1)

    def test_heads_as_rows_attend_as_grouped_heads_do(self):
        layer = self.model(DENSE).layers[0]
        q, keys, values = self.make(3, 4, 5, 16), self.make(3, 2, 20, 16), self.make(3, 2, 20, 16)
        wanted = torch.nn.functional.scaled_dot_product_attention(q, keys, values, enable_gqa=True)
        torch.testing.assert_close(layer.attend(q, keys, values), wanted, rtol=0.02, atol=0.01)

    def test_it_measures_both_kinds_of_commit(self):
        options = argparse.Namespace(device="cpu", eager=False, block_length=4, context=10, repeats=1)
        with torch.inference_mode():
            rows = decode.measure(self.model(EXPERTS), options, 2, self.make)
        self.assertEqual([row["fused"] for row in rows], [True, False])
        for row in rows:
            self.assertAlmostEqual(row["tokens_per_s"], 8 / row["ms_per_block"] * 1000)
        self.assertIn("| 2 | fused |", decode.to_markdown("title", rows))


if __name__ == "__main__":
    unittest.main()
