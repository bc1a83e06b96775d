# SPDX-License-Identifier: Apache-2.0
"""The client of a running server, for threads. `sdar.aio` has the one for asyncio."""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import Any, Iterator, Mapping, Optional, Sequence, Union

import grpc

from sdar import _readers, _requests
from sdar._access import Access, Attempts, Tls
from sdar._requests import Message, Prompt
from sdar.errors import Cancelled, Unimplemented, error_of
from sdar.params import SamplingParams
from sdar.results import Event, Generation, ModelInfo, RetryPolicy, Score, Status, Tokens
from sdar.v1 import generation_pb2 as pb
from sdar.v1 import generation_pb2_grpc

STUB: Any = generation_pb2_grpc.GenerationServiceStub  # protoc writes no types for it
NO_EMBEDDINGS = "embeddings: SDAR models generate text; this server computes no embeddings"


class GenerationStream(Iterator[Event]):
    """The events of a call, as they come. It ends after one `Finished` per sample.

    Closing it, or dropping it, cancels the call on the server. One thread may iterate; any may close.
    Iterating raises what `Client.generate` says.
    """

    def __init__(self, start: Any, request: pb.GenerateRequest, attempts: Attempts) -> None:
        self._start = start
        self._request = request
        self._attempts = attempts
        self._arrived = False  # something of the answer; from then on there is no further attempt
        self._closed = threading.Event()
        self._call = start(request, attempts.timeout())

    def __iter__(self) -> GenerationStream:
        return self

    def __next__(self) -> Event:
        while True:
            if self._closed.is_set():
                raise Cancelled("the call was closed")
            try:
                response = next(self._call)
            except grpc.RpcError as rpc_error:
                error = error_of(rpc_error)
                if self._closed.is_set():  # whatever came first
                    raise Cancelled("the call was closed") from None
                if self._arrived:
                    raise error from None
                if not self._closed.wait(self._attempts.delay_after(error)):
                    self._call = self._start(self._request, self._attempts.timeout())
                continue
            self._arrived = True
            return _readers.read_event(response)

    def collect(self) -> Generation:
        """Waits for the end and returns all samples."""
        collector = _readers.SampleCollector()
        with self:
            for event in self:
                collector.add(event)
        return collector.generation()

    def close(self) -> None:
        """Cancels the call, if it has not ended. Iterating then raises Cancelled."""
        self._closed.set()
        self._call.cancel()

    def __enter__(self) -> GenerationStream:
        return self

    def __exit__(self, kind: Optional[type[BaseException]], error: Optional[BaseException],
                 traceback: Optional[TracebackType]) -> None:
        self.close()


class Client:
    """Asks a running server over gRPC. Any thread may use it.

    address: HOST:PORT of the server's gRPC.
    api_key: a token of its --api-keys-file; None: the variable SDAR_API_KEY, if it is set.
    tls: True, or a `Tls` with files; None: no TLS.
    timeout: seconds that each call may take, unless it says otherwise; None: no limit.
    retry: how often calls are tried again where that is harmless.

    Each method raises an `Error` of its gRPC status: InvalidRequest if the request is wrong, Unauthenticated,
    Unavailable, DeadlineExceeded, ResourceExhausted, and others. `sdar.errors` has them all.
    """

    def __init__(self, address: str = "127.0.0.1:50051", api_key: Optional[str] = None,
                 tls: Union[Tls, bool, None] = None, *, timeout: Optional[float] = None,
                 retry: RetryPolicy = RetryPolicy()) -> None:
        self._access = Access(address, api_key, tls, timeout, retry)
        self._metadata = self._access.metadata()
        credentials = self._access.credentials()
        options = self._access.options()
        self._channel = (grpc.insecure_channel(address, options) if credentials is None
                         else grpc.secure_channel(address, credentials, options))
        self._stub = STUB(self._channel)
        self._closed = False

    @property
    def address(self) -> str:
        """HOST:PORT, as it was given."""
        return self._access.address

    def generate(self, prompt: Prompt, params: Optional[SamplingParams] = None, *, request_id: str = "",
                 timeout: Optional[float] = None) -> GenerationStream:
        """Starts to generate; iterate over the events, or `collect()` them.

        prompt: a text that is sent as it is, token ids, or a chat.
        request_id: 1 .. 128 visible ASCII characters, for `abort` and the log; empty: the server makes one.
        timeout: seconds to the last token.

        A call that was refused before anything arrived is tried again as `retry` says.
        Raises Aborted if the job stops after a part of the answer was sent. See `Client` for others.
        """
        request = _requests.generate_request(prompt, params, request_id=request_id)
        return self._stream(request, timeout)

    def chat(self, messages: Sequence[Message], params: Optional[SamplingParams] = None, *,
             tools: Optional[Sequence[Mapping[str, Any]]] = None, enable_thinking: Optional[bool] = None,
             add_generation_prompt: Optional[bool] = None, chat_template: Optional[str] = None, request_id: str = "",
             timeout: Optional[float] = None) -> GenerationStream:
        """Starts to answer a chat, which the model's template renders.

        messages: mappings with role and content, and perhaps reasoning_content and tool_calls (OpenAI's list).
        tools: OpenAI's list of tools. enable_thinking: None: what the template does.
        chat_template: the name of one of the model's templates; None: the model's choice.
        The rest is as in `generate`. Reasoning and tool calls are in the text, with their marks.
        """
        request = _requests.generate_request(
            messages, params, request_id=request_id, tools=tools, enable_thinking=enable_thinking,
            add_generation_prompt=add_generation_prompt, chat_template=chat_template)
        return self._stream(request, timeout)

    def score(self, prompt: Optional[Prompt], continuation: Union[str, Sequence[int]], *,
              block_length: Optional[int] = None, top_logprobs: Optional[int] = None, request_id: str = "",
              priority: Optional[int] = None, timeout: Optional[float] = None) -> Score:
        """How likely the model finds a continuation of a prompt.

        prompt: as in `generate`; None: nothing, the continuation is the beginning.
        continuation: a text, which is tokenized by itself, or token ids; at least one token.
        top_logprobs: also report this many alternatives of each token, 0 .. 20.
        timeout: seconds. Raises Unimplemented if the server is too old.
        """
        request = _requests.score_request(prompt, continuation, request_id=request_id, block_length=block_length,
                                          top_logprobs=top_logprobs, priority=priority)
        return _readers.read_score(self._unary("Score", request, timeout))

    def tokenize(self, text: Union[str, Sequence[Message]], *,
                 tools: Optional[Sequence[Mapping[str, Any]]] = None, enable_thinking: Optional[bool] = None,
                 add_generation_prompt: Optional[bool] = None, chat_template: Optional[str] = None,
                 timeout: Optional[float] = None) -> Tokens:
        """Token ids of a text or of a rendered chat. timeout: seconds."""
        request = _requests.tokenize_request(text, tools=tools, enable_thinking=enable_thinking,
                                             add_generation_prompt=add_generation_prompt, chat_template=chat_template)
        return _readers.read_tokens(self._unary("Tokenize", request, timeout))

    def detokenize(self, ids: Sequence[int], *, skip_special_tokens: bool = False,
                   timeout: Optional[float] = None) -> str:
        """The text of token ids. timeout: seconds."""
        request = _requests.detokenize_request(ids, skip_special_tokens)
        return str(self._unary("Detokenize", request, timeout).text)

    def model_info(self, *, timeout: Optional[float] = None) -> ModelInfo:
        """What the server runs. timeout: seconds."""
        return _readers.read_model_info(self._unary("GetModelInfo", pb.GetModelInfoRequest(), timeout))

    def status(self, *, timeout: Optional[float] = None) -> Status:
        """What the job does now. timeout: seconds."""
        return _readers.read_status(self._unary("GetStatus", pb.GetStatusRequest(), timeout))

    def abort(self, request_id: str, *, timeout: Optional[float] = None) -> None:
        """Ends the open call with this id, which gets Cancelled. Raises NotFound if there is none. timeout: seconds."""
        self._unary("Abort", _requests.abort_request(request_id), timeout)

    def embeddings(self, *_: Any, **__: Any) -> None:
        """Raises Unimplemented."""
        raise Unimplemented(NO_EMBEDDINGS)

    def close(self) -> None:
        """Ends the connection and cancels open calls. Further calls raise Cancelled."""
        self._closed = True
        self._channel.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, kind: Optional[type[BaseException]], error: Optional[BaseException],
                 traceback: Optional[TracebackType]) -> None:
        self.close()

    def _method(self, name: str) -> Any:
        if self._closed:
            raise Cancelled("the client was closed")
        return getattr(self._stub, name)

    def _stream(self, request: pb.GenerateRequest, timeout: Optional[float]) -> GenerationStream:
        metadata, method = self._metadata, self._method("Generate")
        return GenerationStream(lambda message, left: method(message, timeout=left, metadata=metadata), request,
                                Attempts(self._access, timeout))

    def _unary(self, method: str, request: Any, timeout: Optional[float]) -> Any:
        attempts = Attempts(self._access, timeout)
        while True:
            try:
                return self._method(method)(request, timeout=attempts.timeout(), metadata=self._metadata)
            except grpc.RpcError as rpc_error:
                delay = attempts.delay_after(error_of(rpc_error))
            time.sleep(delay)
