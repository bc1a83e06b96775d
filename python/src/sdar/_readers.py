# SPDX-License-Identifier: Apache-2.0
"""From the messages of the gRPC API to the results of this package."""

from __future__ import annotations

import dataclasses
from typing import Any, TypeVar, Union

from sdar import results
from sdar.errors import Internal
from sdar.v1 import generation_pb2 as pb

T = TypeVar("T")


def read(kind: type[T], message: Any, **fields: Any) -> T:
    """A result of this kind, whose fields have the names of the message's, but for those that are given."""
    values = dict(fields)
    for field in dataclasses.fields(kind):  # type: ignore[arg-type] # every kind is a dataclass
        if field.name not in values:
            values[field.name] = _plain(getattr(message, field.name))
    return kind(**values)


def _plain(value: Any) -> Any:
    """Numbers and text as they are, repeated fields as tuples."""
    if isinstance(value, (int, float, str)):
        return value
    return tuple(value)


def read_usage(usage: pb.Usage) -> results.Usage:
    return read(results.Usage, usage)


def read_tops(tops: Any) -> tuple[tuple[results.TokenLogprob, ...], ...]:
    """tops: repeated Delta.Top, one for each token."""
    return tuple(tuple(read(results.TokenLogprob, one) for one in top.alternatives) for top in tops)


def read_event(response: pb.GenerateResponse) -> results.Event:
    """Raises Internal for an event that this package does not know."""
    kind = response.WhichOneof("event")
    if kind == "delta":
        return read(results.Delta, response.delta, request_id=response.request_id, top=read_tops(response.delta.top))
    if kind == "provisional":
        positions = tuple(read(results.Position, one) for one in response.provisional.positions)
        return read(results.Provisional, response.provisional, request_id=response.request_id, positions=positions)
    if kind == "finished":
        finished = response.finished
        return read(results.Finished, finished, request_id=response.request_id,
                    reason=pb.Finished.Reason.Name(finished.reason).lower(), stop_reason=_stop_reason(finished),
                    usage=read_usage(finished.usage))
    raise Internal("expected a delta, a provisional block or an end, got an event that this version does not know")


def _stop_reason(finished: pb.Finished) -> Union[int, str, None]:
    kind = finished.WhichOneof("stop_reason")
    return None if kind is None else getattr(finished, kind)


def read_tokens(response: pb.TokenizeResponse) -> results.Tokens:
    return read(results.Tokens, response)


def read_score(response: pb.ScoreResponse) -> results.Score:
    return read(results.Score, response, top=read_tops(response.top), usage=read_usage(response.usage))


def read_model_info(response: pb.GetModelInfoResponse) -> results.ModelInfo:
    return read(results.ModelInfo, response)


def read_status(response: pb.GetStatusResponse) -> results.Status:
    replicas = tuple(read(results.ReplicaStatus, one) for one in response.replicas)
    return read(results.Status, response, replicas=replicas)


class SampleCollector:
    """Puts the events of a call together."""

    def __init__(self) -> None:
        self._deltas: dict[int, list[results.Delta]] = {}
        self._ends: dict[int, results.Finished] = {}

    def add(self, event: results.Event) -> None:
        if isinstance(event, results.Delta):
            self._deltas.setdefault(event.index, []).append(event)
        elif isinstance(event, results.Finished):
            self._ends[event.index] = event

    def generation(self) -> results.Generation:
        """Call it when the stream has ended. Raises Internal if no sample has ended."""
        if not self._ends:
            raise Internal("expected the end of a sample, got the end of the call")
        ends = [self._ends[index] for index in sorted(self._ends)]
        return results.Generation(ends[0].request_id, tuple(self._sample(end) for end in ends))

    def _sample(self, end: results.Finished) -> results.Sample:
        deltas = self._deltas.get(end.index, [])
        return results.Sample(
            index=end.index,
            text="".join(delta.text for delta in deltas),
            token_ids=tuple(one for delta in deltas for one in delta.token_ids),
            logprobs=tuple(one for delta in deltas for one in delta.logprobs),
            entropies=tuple(one for delta in deltas for one in delta.entropies),
            steps=tuple(one for delta in deltas for one in delta.steps),
            top=tuple(one for delta in deltas for one in delta.top),
            reason=end.reason,
            stop_reason=end.stop_reason,
            usage=end.usage,
            seed=end.seed,
        )
