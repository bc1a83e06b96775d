# SPDX-License-Identifier: Apache-2.0
"""SDAR block-diffusion language models: run one here (`LLM`), or ask a server (`Client`, `AsyncClient`)."""

from importlib.metadata import version as _version

from sdar._access import Tls
from sdar._requests import Message, Prompt
from sdar.aio import AsyncClient, AsyncGenerationStream
from sdar.client import Client, GenerationStream
from sdar.errors import (
    Aborted,
    AlreadyExists,
    Cancelled,
    DeadlineExceeded,
    Error,
    Internal,
    InvalidRequest,
    NotFound,
    ResourceExhausted,
    StartFailed,
    Unauthenticated,
    Unavailable,
    Unimplemented,
)
from sdar.llm import LLM
from sdar.params import SamplingParams
from sdar.results import (
    Delta,
    Event,
    Finished,
    Generation,
    ModelInfo,
    Position,
    Provisional,
    ReplicaStatus,
    RetryPolicy,
    Sample,
    Score,
    Status,
    TokenLogprob,
    Tokens,
    Usage,
)

__version__ = _version("sdar")

__all__ = [
    "LLM", "SamplingParams", "Client", "AsyncClient", "GenerationStream", "AsyncGenerationStream", "RetryPolicy", "Tls",
    "Prompt", "Message",
    "Event", "Delta", "Provisional", "Position", "Finished", "Generation", "Sample", "Score", "Tokens", "TokenLogprob",
    "Usage", "ModelInfo", "Status", "ReplicaStatus",
    "Error", "InvalidRequest", "Unauthenticated", "NotFound", "AlreadyExists", "ResourceExhausted", "Cancelled",
    "DeadlineExceeded", "Unavailable", "Aborted", "Internal", "Unimplemented", "StartFailed",
]
