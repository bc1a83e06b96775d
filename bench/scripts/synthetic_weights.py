# SPDX-License-Identifier: Apache-2.0
"""The made-up weights of common/synthetic_weight.h in torch, bit for bit, on whatever device a tensor lies."""

LOW_64 = (1 << 64) - 1
LOW_32 = (1 << 32) - 1
AT_ONCE = 1 << 24  # elements, whose indices take 8 bytes each


def mix64(x):
    x ^= x >> 30
    x = x * 0xBF58476D1CE4E5B9 & LOW_64
    x ^= x >> 27
    x = x * 0x94D049BB133111EB & LOW_64
    return x ^ x >> 31


def key_of(name, seed=0):
    """SyntheticKey of runtime/checkpoint/synthetic.h."""
    value = 0xCBF29CE484222325  # FNV-1a
    for byte in name.encode():
        value = (value ^ byte) * 0x100000001B3 & LOW_64
    return mix64(value ^ mix64(seed + 0x9E3779B97F4A7C15 & LOW_64))


def mix32(x):
    """Of int64 tensors that hold 32 bits each: products may wrap, their lower halves are right."""
    x = x ^ x >> 16
    x = x * 0x85EBCA6B & LOW_32
    x = x ^ x >> 13
    x = x * 0xC2B2AE35 & LOW_32
    return x ^ x >> 16


def fill(torch, out, name):
    """Fills a contiguous bfloat16 tensor with the weights of the checkpoint's tensor `name`."""
    flat = out.view(-1)
    assert flat.numel() <= 1 << 32, f"{name}: {flat.numel()} elements, at most 2**32"
    page_key = mix64(key_of(name))
    scale = torch.tensor(0.02, dtype=torch.float32) / torch.tensor(147.8, dtype=torch.float32)
    for part, first in ((flat[i:i + AT_ONCE], i) for i in range(0, flat.numel(), AT_ONCE)):
        index = torch.arange(first, first + part.numel(), device=out.device)
        bits = mix32(mix32(index ^ (page_key & LOW_32)) + (page_key >> 32) & LOW_32)
        pairs = (bits & 0x00FF00FF) + (bits >> 8 & 0x00FF00FF)
        total = (pairs & 0xFFFF) + (pairs >> 16)
        part.copy_((total.to(torch.float32) - 510.0) * scale.to(out.device))
