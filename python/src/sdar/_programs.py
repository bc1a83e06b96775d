# SPDX-License-Identifier: Apache-2.0
"""Where the programs of sdar are, and with which flags the server runs."""

from __future__ import annotations

import os
import pathlib
import shutil
import sys
from typing import Any, Optional, Union

from sdar.errors import InvalidRequest, StartFailed


def find_program(name: str, bin_dir: Union[str, "os.PathLike[str]", None]) -> str:
    """The path of a program: in bin_dir, else in the folder SDAR_BIN_DIR, next to Python's own programs, or in PATH.

    A folder that was named is the only one that counts. Raises StartFailed if there is no such program.
    """
    named = bin_dir or os.environ.get("SDAR_BIN_DIR")
    if named:
        path = shutil.which(name, path=os.fspath(named))
        if path is None:
            raise StartFailed(f"{'bin_dir' if bin_dir else 'SDAR_BIN_DIR'}: there is no program {name} in {named}")
        return os.path.abspath(path)
    path = shutil.which(name, path=str(pathlib.Path(sys.prefix, "bin"))) or shutil.which(name)
    if path is None:
        raise StartFailed(f"there is no program {name} in {sys.prefix}/bin or in PATH: install sdar, or name the "
                          "folder of its programs with bin_dir= or SDAR_BIN_DIR")
    return os.path.abspath(path)


# JetEngine's arguments that are flags of sdar-serve.
_FLAGS = {
    "max_num_seqs": "max-sequences",
    "max_model_len": "max-sequence-length",
    "max_num_batched_tokens": "max-batch-rows",
    "kvcache_block_size": "page-size",
    "block_length": "block-length",
}
# JetEngine's arguments that are taken only with the value that changes nothing there.
_ONLY = {
    "diversity_enforce": (False, "sdar-serve has no such strategy"),
    "epsilon_greedy": (False, "sdar-serve has no such strategy"),
    "num_kvcache_blocks": (-1, "name the memory instead, with flags=['--kv-memory=8GiB']"),
    "hf_config": (None, "sdar-serve reads config.json itself"),
    "eos": (-1, "sdar-serve reads the end tokens of the model; SamplingParams has stop_token_ids"),
}
# Of a strategy that is off.
_WITHOUT_EFFECT = ("epsilon", "diversity_enforce_barrier")
_DTYPES = ("auto", "bfloat16", "float32")


def engine_flags(arguments: dict[str, Any]) -> list[str]:
    """The flags of sdar-serve for arguments of JetEngine's constructor. None counts as absent.

    Raises InvalidRequest for an argument that sdar-serve cannot follow, with the reason; TypeError for an unknown one.
    """
    flags = []
    for name, value in arguments.items():
        if name in _FLAGS:
            flags += [] if value is None else [f"--{_FLAGS[name]}={_whole(name, value)}"]
        elif name in _ONLY:
            expected, reason = _ONLY[name]
            if value is not None and value != expected:
                raise InvalidRequest(f"{name}: expected {expected}, got {value!r}: {reason}")
        elif name == "gpu_memory_utilization":
            flags += [] if value is None else [f"--kv-memory={_part(name, value)}"]
        elif name == "enforce_eager":
            flags += ["--cuda-graphs=off"] if value else []
        elif name == "dtype":
            flags += _dtype_flags(value)
        elif name not in _WITHOUT_EFFECT:
            raise TypeError(f"LLM has no argument {name!r}; flags of sdar-serve are given in flags=[...]")
    return flags


def _whole(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidRequest(f"{name}: expected an integer, got {value!r}")
    return int(value)


def _part(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < 1:
        raise InvalidRequest(f"{name}: expected a number above 0 and below 1, got {value!r}")
    return float(value)


def _dtype_flags(value: Optional[Any]) -> list[str]:
    name = "auto" if value is None else str(value).replace("torch.", "")
    if name not in _DTYPES:
        raise InvalidRequest(f"dtype: expected one of {', '.join(_DTYPES)}, got {name!r}: sdar-serve computes in these")
    return [] if name == "auto" else [f"--dtype={name}"]
