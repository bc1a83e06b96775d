# SPDX-License-Identifier: Apache-2.0
"""How to decode: the fields of a request."""

from __future__ import annotations

import dataclasses
from typing import Any, Mapping, Optional, Sequence, TypeVar, Union

from sdar.errors import InvalidRequest

T = TypeVar("T")


def _other_name_of(field: str) -> Any:
    """A property that reads and writes the field."""
    return property(lambda self: getattr(self, field), lambda self, value: setattr(self, field, value))


@dataclasses.dataclass(init=False)
class SamplingParams:
    """How to decode a prompt. What is left out, or None, takes the server's default.

    The server checks the ranges below and refuses what is outside of them, naming the field.

    temperature: 0 (greedy), or 0.0001 .. 100.
    top_k: draw from this many most probable tokens; 0: no cut.
    top_p: draw from the most probable tokens that hold this mass, 0 .. 1.
    min_p: draw from tokens with at least this part of the largest probability, 0 .. 1.
    repetition_penalty: 0.01 .. 100, on tokens of prompt and output; 1: none.
    presence_penalty, frequency_penalty: -2 .. 2, on tokens of the output.
    logit_bias: token id to -100 .. 100, added to its logit.
    seed: 0 .. 2**64 - 1; without one, the server draws one and reports it.
    n: samples of the prompt, 1 .. 128.
    block_length: positions that are denoised together; keep what the model was trained with.
    denoising_steps: steps per block at most, 1 .. block_length.
    remasking_strategy: "sequential", "low_confidence_static", "low_confidence_dynamic" or "entropy_bounded".
    confidence_threshold: 0 .. 1, for low_confidence_dynamic.
    entropy_bound: 0 .. 10**6 nats, for entropy_bounded.
    max_tokens: tokens of the answer at most, >= 1; default: what fits.
    min_tokens: no stop before this many tokens.
    stop: a string or up to 64 strings; the answer ends before the first of them.
    stop_token_ids: further tokens that end the answer; they are not part of it.
    ignore_eos: do not stop at the model's own end tokens.
    skip_special_tokens: leave special tokens out of the text.
    logprobs: 0 .. 20: report log-probabilities, entropies and steps, and this many alternatives.
    provisional: also report the block after every denoising step.
    structure: what the answer must be, exactly: {"json_schema": a schema}, {"json_object": True}, {"regex": a pattern},
        {"choice": [texts]}, or {"tools": [{"name": .., "parameters": a schema}], "may_answer": bool, "one_call": bool}.
    priority: -100 .. 100; higher goes first.
    drafts: "auto", "off" or 0 .. 64 guessed states; the answer is the same.
    timeout_seconds: from now to the last token, > 0.

    JetEngine's names are other names of the same fields, also for reading and writing:
    topk, topp, dynamic_threshold (confidence_threshold), eb_threshold (entropy_bound), stop_words (stop_token_ids).

    Raises InvalidRequest if a field is given under both of its names.
    """

    temperature: Optional[float]
    top_k: Optional[int]
    top_p: Optional[float]
    min_p: Optional[float]
    repetition_penalty: Optional[float]
    presence_penalty: Optional[float]
    frequency_penalty: Optional[float]
    logit_bias: Optional[Mapping[int, float]]
    seed: Optional[int]
    n: Optional[int]
    block_length: Optional[int]
    denoising_steps: Optional[int]
    remasking_strategy: Optional[str]
    confidence_threshold: Optional[float]
    entropy_bound: Optional[float]
    max_tokens: Optional[int]
    min_tokens: Optional[int]
    stop: Union[str, Sequence[str], None]
    stop_token_ids: Optional[Sequence[int]]
    ignore_eos: Optional[bool]
    skip_special_tokens: Optional[bool]
    logprobs: Optional[int]
    provisional: Optional[bool]
    structure: Optional[Mapping[str, Any]]
    priority: Optional[int]
    drafts: Union[int, str, None]
    timeout_seconds: Optional[float]

    def __init__(
        self,
        *,
        temperature: Optional[float] = None,
        top_k: Optional[int] = None,
        top_p: Optional[float] = None,
        min_p: Optional[float] = None,
        repetition_penalty: Optional[float] = None,
        presence_penalty: Optional[float] = None,
        frequency_penalty: Optional[float] = None,
        logit_bias: Optional[Mapping[int, float]] = None,
        seed: Optional[int] = None,
        n: Optional[int] = None,
        block_length: Optional[int] = None,
        denoising_steps: Optional[int] = None,
        remasking_strategy: Optional[str] = None,
        confidence_threshold: Optional[float] = None,
        entropy_bound: Optional[float] = None,
        max_tokens: Optional[int] = None,
        min_tokens: Optional[int] = None,
        stop: Union[str, Sequence[str], None] = None,
        stop_token_ids: Optional[Sequence[int]] = None,
        ignore_eos: Optional[bool] = None,
        skip_special_tokens: Optional[bool] = None,
        logprobs: Optional[int] = None,
        provisional: Optional[bool] = None,
        structure: Optional[Mapping[str, Any]] = None,
        priority: Optional[int] = None,
        drafts: Union[int, str, None] = None,
        timeout_seconds: Optional[float] = None,
        topk: Optional[int] = None,
        topp: Optional[float] = None,
        dynamic_threshold: Optional[float] = None,
        eb_threshold: Optional[float] = None,
        stop_words: Optional[Sequence[int]] = None,
    ) -> None:
        self.temperature = temperature
        self.top_k = _one_of("top_k", top_k, "topk", topk)
        self.top_p = _one_of("top_p", top_p, "topp", topp)
        self.min_p = min_p
        self.repetition_penalty = repetition_penalty
        self.presence_penalty = presence_penalty
        self.frequency_penalty = frequency_penalty
        self.logit_bias = logit_bias
        self.seed = seed
        self.n = n
        self.block_length = block_length
        self.denoising_steps = denoising_steps
        self.remasking_strategy = remasking_strategy
        self.confidence_threshold = _one_of(
            "confidence_threshold", confidence_threshold, "dynamic_threshold", dynamic_threshold)
        self.entropy_bound = _one_of("entropy_bound", entropy_bound, "eb_threshold", eb_threshold)
        self.max_tokens = max_tokens
        self.min_tokens = min_tokens
        self.stop = stop
        self.stop_token_ids = _one_of("stop_token_ids", stop_token_ids, "stop_words", stop_words)
        self.ignore_eos = ignore_eos
        self.skip_special_tokens = skip_special_tokens
        self.logprobs = logprobs
        self.provisional = provisional
        self.structure = structure
        self.priority = priority
        self.drafts = drafts
        self.timeout_seconds = timeout_seconds
        if stop_words and ignore_eos:
            raise InvalidRequest("stop_words: JetEngine drops them with ignore_eos, this server never does; leave them "
                                 "out, or give stop_token_ids to stop at them")

    topk = _other_name_of("top_k")
    topp = _other_name_of("top_p")
    dynamic_threshold = _other_name_of("confidence_threshold")
    eb_threshold = _other_name_of("entropy_bound")
    stop_words = _other_name_of("stop_token_ids")


def _one_of(name: str, value: Optional[T], other_name: str, other: Optional[T]) -> Optional[T]:
    if value is not None and other is not None:
        raise InvalidRequest(f"{name}: expected one of {name} and {other_name}, got both")
    return other if value is None else value
