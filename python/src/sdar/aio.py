# SPDX-License-Identifier: Apache-2.0
"""The client of a running server, for asyncio. `sdar.client` has the one for threads."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any, AsyncIterator, Mapping, Optional, Sequence, Union

import grpc
import grpc.aio

from sdar import _readers, _requests
from sdar._access import Access, Attempts, Tls
from sdar._requests import Message, Prompt
from sdar.client import NO_EMBEDDINGS, STUB
from sdar.errors import Cancelled, Unimplemented, error_of
from sdar.params import SamplingParams
from sdar.results import Event, Generation, ModelInfo, RetryPolicy, Score, Status, Tokens
from sdar.v1 import generation_pb2 as pb

_EOF: Any = getattr(grpc.aio, "EOF")  # which not all of its type stubs have


class AsyncGenerationStream(AsyncIterator[Event]):
    """The events of a call, as they come. It ends after one `Finished` per sample.

    Closing it, dropping it, or cancelling the task that waits for it cancels the call on the server.
    Iterating raises what `AsyncClient.generate` says.
    """

    def __init__(self, start: Any, request: pb.GenerateRequest, attempts: Attempts) -> None:
        self._start = start
        self._request = request
        self._attempts = attempts
        self._arrived = False  # something of the answer; from then on there is no further attempt
        self._closed = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._call = start(request, attempts.timeout())

    def __del__(self) -> None:
        # gRPC's tasks keep the call alive. The collector may run in any thread.
        if hasattr(self, "_call") and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._call.cancel)

    def __aiter__(self) -> AsyncGenerationStream:
        return self

    async def __anext__(self) -> Event:
        while True:
            if self._closed.is_set():
                raise Cancelled("the call was closed")
            try:
                response = await self._call.read()
            except asyncio.CancelledError:
                self._call.cancel()
                if self._closed.is_set():  # by close(), not by a cancelled task
                    raise Cancelled("the call was closed") from None
                raise
            except grpc.RpcError as rpc_error:
                error = error_of(rpc_error)
                if self._closed.is_set():  # whatever came first
                    raise Cancelled("the call was closed") from None
                if self._arrived:
                    raise error from None
                delay = self._attempts.delay_after(error)
                try:
                    await asyncio.wait_for(self._closed.wait(), delay)
                except asyncio.TimeoutError:
                    self._call = self._start(self._request, self._attempts.timeout())
                continue
            if response is _EOF:
                raise StopAsyncIteration
            self._arrived = True
            return _readers.read_event(response)

    async def collect(self) -> Generation:
        """Waits for the end and returns all samples."""
        collector = _readers.SampleCollector()
        async with self:
            async for event in self:
                collector.add(event)
        return collector.generation()

    def close(self) -> None:
        """Cancels the call, if it has not ended. Iterating then raises Cancelled."""
        self._closed.set()
        self._call.cancel()

    async def __aenter__(self) -> AsyncGenerationStream:
        return self

    async def __aexit__(self, kind: Optional[type[BaseException]], error: Optional[BaseException],
                        traceback: Optional[TracebackType]) -> None:
        self.close()


class AsyncClient:
    """Asks a running server over gRPC, from one event loop: the one in which it is first used.

    Arguments, methods and errors are those of `sdar.Client`. A timeout bounds a call on the server too;
    so does cancelling the task that waits for it.
    """

    def __init__(self, address: str = "127.0.0.1:50051", api_key: Optional[str] = None,
                 tls: Union[Tls, bool, None] = None, *, timeout: Optional[float] = None,
                 retry: RetryPolicy = RetryPolicy()) -> None:
        self._access = Access(address, api_key, tls, timeout, retry)
        self._metadata = self._access.metadata()
        self._credentials = self._access.credentials()
        self._channel: Any = None  # made in the event loop
        self._closed = False

    @property
    def address(self) -> str:
        """HOST:PORT, as it was given."""
        return self._access.address

    def generate(self, prompt: Prompt, params: Optional[SamplingParams] = None, *, request_id: str = "",
                 timeout: Optional[float] = None) -> AsyncGenerationStream:
        """Starts to generate; iterate over the events, or await `collect()`. See `Client.generate`."""
        request = _requests.generate_request(prompt, params, request_id=request_id)
        return self._stream(request, timeout)

    def chat(self, messages: Sequence[Message], params: Optional[SamplingParams] = None, *,
             tools: Optional[Sequence[Mapping[str, Any]]] = None, enable_thinking: Optional[bool] = None,
             add_generation_prompt: Optional[bool] = None, chat_template: Optional[str] = None, request_id: str = "",
             timeout: Optional[float] = None) -> AsyncGenerationStream:
        """Starts to answer a chat. See `Client.chat`."""
        request = _requests.generate_request(
            messages, params, request_id=request_id, tools=tools, enable_thinking=enable_thinking,
            add_generation_prompt=add_generation_prompt, chat_template=chat_template)
        return self._stream(request, timeout)

    async def score(self, prompt: Optional[Prompt], continuation: Union[str, Sequence[int]], *,
                    block_length: Optional[int] = None, top_logprobs: Optional[int] = None, request_id: str = "",
                    priority: Optional[int] = None, timeout: Optional[float] = None) -> Score:
        """How likely the model finds a continuation of a prompt. See `Client.score`."""
        request = _requests.score_request(prompt, continuation, request_id=request_id, block_length=block_length,
                                          top_logprobs=top_logprobs, priority=priority)
        return _readers.read_score(await self._unary("Score", request, timeout))

    async def tokenize(self, text: Union[str, Sequence[Message]], *,
                       tools: Optional[Sequence[Mapping[str, Any]]] = None, enable_thinking: Optional[bool] = None,
                       add_generation_prompt: Optional[bool] = None, chat_template: Optional[str] = None,
                       timeout: Optional[float] = None) -> Tokens:
        """Token ids of a text or of a rendered chat. timeout: seconds."""
        request = _requests.tokenize_request(text, tools=tools, enable_thinking=enable_thinking,
                                             add_generation_prompt=add_generation_prompt, chat_template=chat_template)
        return _readers.read_tokens(await self._unary("Tokenize", request, timeout))

    async def detokenize(self, ids: Sequence[int], *, skip_special_tokens: bool = False,
                         timeout: Optional[float] = None) -> str:
        """The text of token ids. timeout: seconds."""
        request = _requests.detokenize_request(ids, skip_special_tokens)
        return str((await self._unary("Detokenize", request, timeout)).text)

    async def model_info(self, *, timeout: Optional[float] = None) -> ModelInfo:
        """What the server runs. timeout: seconds."""
        return _readers.read_model_info(await self._unary("GetModelInfo", pb.GetModelInfoRequest(), timeout))

    async def status(self, *, timeout: Optional[float] = None) -> Status:
        """What the job does now. timeout: seconds."""
        return _readers.read_status(await self._unary("GetStatus", pb.GetStatusRequest(), timeout))

    async def abort(self, request_id: str, *, timeout: Optional[float] = None) -> None:
        """Ends the open call with this id, which gets Cancelled. Raises NotFound if there is none. timeout: seconds."""
        await self._unary("Abort", _requests.abort_request(request_id), timeout)

    async def embeddings(self, *_: Any, **__: Any) -> None:
        """Raises Unimplemented."""
        raise Unimplemented(NO_EMBEDDINGS)

    async def close(self) -> None:
        """Ends the connection and cancels open calls. Further calls raise Cancelled."""
        self._closed = True
        if self._channel is not None:
            await self._channel.close()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, kind: Optional[type[BaseException]], error: Optional[BaseException],
                        traceback: Optional[TracebackType]) -> None:
        await self.close()

    def _method(self, name: str) -> Any:
        if self._closed:
            raise Cancelled("the client was closed")
        if self._channel is None:
            options = self._access.options()
            address = self._access.address
            self._channel = (grpc.aio.insecure_channel(address, options) if self._credentials is None
                             else grpc.aio.secure_channel(address, self._credentials, options))
            self._stub = STUB(self._channel)
        return getattr(self._stub, name)

    def _stream(self, request: pb.GenerateRequest, timeout: Optional[float]) -> AsyncGenerationStream:
        metadata, method = self._metadata, self._method("Generate")
        return AsyncGenerationStream(lambda message, left: method(message, timeout=left, metadata=metadata), request,
                                     Attempts(self._access, timeout))

    async def _unary(self, method: str, request: Any, timeout: Optional[float]) -> Any:
        attempts = Attempts(self._access, timeout)
        while True:
            try:
                return await self._method(method)(request, timeout=attempts.timeout(), metadata=self._metadata)
            except grpc.RpcError as rpc_error:
                delay = attempts.delay_after(error_of(rpc_error))
            await asyncio.sleep(delay)
