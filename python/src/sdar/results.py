# SPDX-License-Identifier: Apache-2.0
"""What comes back from a server. All of it is frozen."""

from __future__ import annotations

import dataclasses
from typing import Optional, Union


@dataclasses.dataclass(frozen=True)
class TokenLogprob:
    """A token id and its log-probability, in nats."""

    id: int
    logprob: float


@dataclasses.dataclass(frozen=True)
class Usage:
    """What a sequence cost.

    cached_tokens: prompt tokens whose keys and values came from the prefix cache.
    preemptions: how often the sequence lost its K/V pages and was recomputed.
    forced_tokens: of the completion, revealed at once because its structure allowed no other text.
    """

    prompt_tokens: int
    completion_tokens: int
    denoising_steps: int
    forward_passes: int
    cached_tokens: int
    preemptions: int
    forced_tokens: int


@dataclasses.dataclass(frozen=True)
class Delta:
    """Tokens that became final, and the text that they add.

    index: of the sample.
    logprobs, entropies (nats), steps (of the reveal, within its block, from 0) and top (alternatives): one for each
    token if the request asked for logprobs, else empty.
    """

    request_id: str
    index: int
    text: str
    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    entropies: tuple[float, ...]
    steps: tuple[int, ...]
    top: tuple[tuple[TokenLogprob, ...], ...]


@dataclasses.dataclass(frozen=True)
class Position:
    """A position of the active block.

    position: within the block.
    token_id, text: the revealed token, or the candidate of a masked position.
    confidence: probability of the candidate; 1 for what was revealed before.
    """

    position: int
    masked: bool
    token_id: int
    text: str
    confidence: float


@dataclasses.dataclass(frozen=True)
class Provisional:
    """The active block after a denoising step. Positions of the prompt are left out.

    block: number of the block, those of the prompt included.
    """

    request_id: str
    index: int
    block: int
    step: int
    positions: tuple[Position, ...]


@dataclasses.dataclass(frozen=True)
class Finished:
    """The end of a sample.

    reason: "stop" or "length".
    stop_reason: the stop token's id, the stop string, or None.
    """

    request_id: str
    index: int
    reason: str
    stop_reason: Union[int, str, None]
    usage: Usage
    seed: int


Event = Union[Delta, Provisional, Finished]


@dataclasses.dataclass(frozen=True)
class Sample:
    """A whole sample. Its fields are those of `Delta` and `Finished`."""

    index: int
    text: str
    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    entropies: tuple[float, ...]
    steps: tuple[int, ...]
    top: tuple[tuple[TokenLogprob, ...], ...]
    reason: str
    stop_reason: Union[int, str, None]
    usage: Usage
    seed: int


@dataclasses.dataclass(frozen=True)
class Generation:
    """All samples of a request, by index; there is at least one."""

    request_id: str
    samples: tuple[Sample, ...]

    @property
    def text(self) -> str:
        """Of the first sample."""
        return self.samples[0].text

    @property
    def token_ids(self) -> tuple[int, ...]:
        """Of the first sample."""
        return self.samples[0].token_ids


@dataclasses.dataclass(frozen=True)
class Tokens:
    """Token ids of a text or a chat. prompt: the rendered chat; empty for a text."""

    ids: tuple[int, ...]
    prompt: str


@dataclasses.dataclass(frozen=True)
class Score:
    """How likely a continuation is.

    token_ids: of the continuation.
    logprobs: of these tokens, in nats; `sum` is their sum.
    greedy: whether the token is the most probable one at its position.
    top: the alternatives of each token, if they were asked for.
    """

    request_id: str
    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    sum: float
    greedy: tuple[bool, ...]
    top: tuple[tuple[TokenLogprob, ...], ...]
    usage: Usage


@dataclasses.dataclass(frozen=True)
class ModelInfo:
    """What a server runs.

    model: the folder's name.
    max_sequence_length: tokens of prompt and output together.
    block_length: the default.
    """

    model: str
    model_type: str
    parameters: int
    vocab_size: int
    max_sequence_length: int
    block_length: int
    mask_token_id: int
    eos_token_ids: tuple[int, ...]
    dtype: str
    backend: str
    ranks: int
    version: str
    replicas: int


@dataclasses.dataclass(frozen=True)
class ReplicaStatus:
    """The state of one group of ranks that holds the whole model."""

    running: int
    waiting: int
    free_slots: int
    total_slots: int
    free_pages: int
    total_pages: int
    finished_steps: int


@dataclasses.dataclass(frozen=True)
class Status:
    """The state of a job; numbers of slots, pages and steps are sums over the replicas.

    running: sequences with a slot. waiting: sequences in the queue.
    free_pages: those that only the prefix cache holds included.
    last_step_age_seconds: since the last step ended; 0 before the first.
    step_age_seconds: of the step in progress that has run longest; 0 between steps.
    unhealthy: why health reports NOT_SERVING; empty while it serves.
    """

    running: int
    waiting: int
    free_slots: int
    total_slots: int
    free_pages: int
    total_pages: int
    finished_steps: int
    last_step_age_seconds: float
    rank_steps: tuple[int, ...]
    rank_silence_seconds: tuple[float, ...]
    cached_pages: int
    prefix_cache_queried_tokens: int
    prefix_cache_hit_tokens: int
    preemptions: int
    step_age_seconds: float
    unhealthy: str
    replicas: tuple[ReplicaStatus, ...]


@dataclasses.dataclass(frozen=True)
class RetryPolicy:
    """How often a call is tried again where that is harmless.

    unavailable: further attempts after UNAVAILABLE, as long as nothing of an answer has arrived.
    queue_full: further attempts after RESOURCE_EXHAUSTED with a delay, each after that delay; None: no limit.
    first_delay, longest_delay: seconds between attempts after UNAVAILABLE; the delay doubles each time.
    """

    unavailable: int = 3
    queue_full: Optional[int] = 3
    first_delay: float = 0.2
    longest_delay: float = 5.0
