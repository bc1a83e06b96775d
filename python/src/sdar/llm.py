# SPDX-License-Identifier: Apache-2.0
"""A model in this process's own server, with the interface of JetEngine."""

from __future__ import annotations

import copy
import os
import warnings
from types import TracebackType
from typing import Any, Iterable, Iterator, Mapping, Optional, Sequence, Union

from sdar import _requests
from sdar._batch import Batch
from sdar._programs import engine_flags
from sdar._progress import Progress
from sdar._requests import Message, Prompt
from sdar._server import ServerProcess
from sdar.client import Client, GenerationStream
from sdar.errors import Error, InvalidRequest, Unavailable
from sdar.params import SamplingParams
from sdar.results import Event, Generation, ModelInfo, RetryPolicy, Sample, Score, Tokens

# The server is this process's: if it cannot be reached, it has ended. Its queue is full only if `flags` bound it.
_RETRY = RetryPolicy(unavailable=0, queue_full=None)


class LLM:
    """A model, served by an sdar-serve of this process, which ends with it. The interface is JetEngine's.

    model: the model's folder.
    tensor_parallel_size: ranks that hold the model together, >= 1. More than one need mpirun.
    replicas: copies of the model that share the prompts, >= 1.
    mask_token_id: refused if it is another token of the model; a warning if the model has no such token, as where a
        script for the released models runs another; None or -1: the model's.
    bin_dir: the folder of sdar's programs; None: SDAR_BIN_DIR, next to Python's programs, or PATH.
    flags: further flags of sdar-serve, as in ["--weights=int8"].
    log_file: where the server's log goes, after what is there; None: nowhere.
    start_timeout: seconds until it must serve; None: no limit.
    arguments: JetEngine's others: block_length, max_num_seqs, max_model_len, max_num_batched_tokens,
        kvcache_block_size, gpu_memory_utilization, dtype and enforce_eager are flags of sdar-serve.
        Those that it cannot follow are refused by name.

    Raises StartFailed with the server's words, InvalidRequest for an argument that cannot be followed, TypeError for an
    unknown one. All methods raise Unavailable once the server has ended. Any thread may call them.
    """

    def __init__(self, model: Union[str, "os.PathLike[str]"], *, tensor_parallel_size: int = 1, replicas: int = 1,
                 mask_token_id: Optional[int] = None, bin_dir: Union[str, "os.PathLike[str]", None] = None,
                 flags: Sequence[str] = (), log_file: Union[str, "os.PathLike[str]", None] = None,
                 start_timeout: Optional[float] = None, **arguments: Any) -> None:
        for name, value in (("tensor_parallel_size", tensor_parallel_size), ("replicas", replicas)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise InvalidRequest(f"{name}: expected an integer >= 1, got {value!r}")
        own = engine_flags(arguments)
        if replicas > 1:
            own.append(f"--tensor-parallel={tensor_parallel_size}")
        self._server = ServerProcess(model, ranks=tensor_parallel_size * replicas, flags=[*own, *flags],
                                     bin_dir=bin_dir, log_file=log_file, start_timeout=start_timeout)
        try:
            self._client = Client(self._server.address, self._server.api_key, retry=_RETRY)
            self._info = self._client.model_info()
            _check_mask_token(mask_token_id, self._info)
            # Enough to keep every slot busy while answers travel.
            self._active = 2 * self._client.status().total_slots
        except BaseException:
            self.close()
            raise

    @property
    def client(self) -> Client:
        """The client of this process's server."""
        return self._client

    @property
    def model_info(self) -> ModelInfo:
        """What the server runs."""
        return self._info

    def generate(self, prompts: Sequence[Prompt],
                 sampling_params: Union[SamplingParams, Sequence[SamplingParams], None] = None,
                 use_tqdm: bool = True) -> list[dict[str, Any]]:
        """Answers all prompts, many at a time.

        prompts: texts, lists of token ids, or chats. sampling_params: for all, or one for each.
        use_tqdm: show progress and tokens per second, if tqdm is installed.

        Returns a dict for each prompt, in their order, or for each sample where `n` is above 1:
        text; token_ids of the answer; trajectory: the denoising step in which each token was revealed, counted from 1
        over the whole answer; logprobs and entropies of the tokens, in nats; and also index, finish_reason,
        stop_reason, usage (a `sdar.Usage`) and seed. If `logprobs` of the parameters is above 0, also top: the
        alternatives of each token.

        Raises the first error; its message names the prompt. The other prompts then end too.
        """
        return self.generate_streaming(prompts, sampling_params, None, use_tqdm)

    def generate_streaming(self, prompts: Sequence[Prompt],
                           sampling_params: Union[SamplingParams, Sequence[SamplingParams], None] = None,
                           max_active: Optional[int] = None, use_tqdm: bool = True) -> list[dict[str, Any]]:
        """As `generate`, with at most `max_active` prompts at a time, >= 1.

        max_active: None: twice as many as the server has slots.

        The name is JetEngine's: prompts stream in. `stream` streams an answer out.
        """
        if max_active is not None and (isinstance(max_active, bool) or max_active < 1):
            raise InvalidRequest(f"max_active: expected an integer >= 1, got {max_active!r}")
        prompts = _prompt_list(prompts)
        params = [_with_logprobs(one) for one in _params_list(sampling_params, len(prompts))]
        # Before anything is sent: a wrong field of the last prompt costs no answer of the first.
        requests = [self._request(number, *one) for number, one in enumerate(zip(prompts, params))]
        progress = Progress(len(prompts), use_tqdm)
        try:
            starts = [lambda request=request: self._client._stream(request, None) for request in requests]
            answers = Batch(starts, max_active or self._active, progress).run()
        except Error as error:
            raise self._explained(error) from None
        finally:
            progress.close()
        return [item for answer, one in zip(answers, params) for item in self._items(answer, one)]

    def chat(self, messages: Sequence[Message], sampling_params: Optional[SamplingParams] = None, *,
             tools: Optional[Sequence[Mapping[str, Any]]] = None, enable_thinking: Optional[bool] = None,
             add_generation_prompt: Optional[bool] = None, chat_template: Optional[str] = None) -> dict[str, Any]:
        """Answers one chat, rendered by the model's template. Returns a dict as `generate`; of the first sample.

        The arguments are those of `Client.chat`.
        """
        params = _with_logprobs(SamplingParams() if sampling_params is None else sampling_params)
        try:
            answer = self._client.chat(messages, params, tools=tools, enable_thinking=enable_thinking,
                                       add_generation_prompt=add_generation_prompt,
                                       chat_template=chat_template).collect()
        except Error as error:
            raise self._explained(error) from None
        return self._items(answer, params)[0]

    def stream(self, prompt: Prompt, sampling_params: Optional[SamplingParams] = None) -> Iterator[Event]:
        """Yields the events of one prompt as they come: Delta, Finished, and Provisional if the parameters say so.

        Closing the iterator cancels the call.
        """
        return self._events(self._client.generate(prompt, sampling_params))

    def score(self, prompt: Optional[Prompt], continuation: Union[str, Sequence[int]], *,
              block_length: Optional[int] = None, top_logprobs: Optional[int] = None) -> Score:
        """How likely the model finds a continuation of a prompt. See `Client.score`."""
        try:
            return self._client.score(prompt, continuation, block_length=block_length, top_logprobs=top_logprobs)
        except Error as error:
            raise self._explained(error) from None

    def tokenize(self, text: Union[str, Sequence[Message]]) -> Tokens:
        """Token ids of a text or of a rendered chat."""
        try:
            return self._client.tokenize(text)
        except Error as error:
            raise self._explained(error) from None

    def close(self) -> None:
        """Ends the server and waits for that.

        Leaving the context, dropping the object and the end of the process end it too.
        """
        if hasattr(self, "_client"):
            self._client.close()
        self._server.close()

    def __enter__(self) -> LLM:
        return self

    def __exit__(self, kind: Optional[type[BaseException]], error: Optional[BaseException],
                 traceback: Optional[TracebackType]) -> None:
        self.close()

    def _request(self, number: int, prompt: Prompt, params: SamplingParams) -> Any:
        try:
            return _requests.generate_request(prompt, params)
        except InvalidRequest as error:
            raise InvalidRequest(f"prompts[{number}]: {error.message}") from None

    def _events(self, stream: GenerationStream) -> Iterator[Event]:
        with stream:
            try:
                yield from stream
            except Error as error:
                raise self._explained(error) from None

    def _items(self, answer: Generation, params: SamplingParams) -> list[dict[str, Any]]:
        block_length = params.block_length or self._info.block_length
        return [_item(sample, block_length, bool(params.logprobs)) for sample in answer.samples]

    def _explained(self, error: Error) -> Error:
        """The error, with the server's words if it has ended."""
        if error.code not in ("UNAVAILABLE", "ABORTED") or self._server.wait_for_end() is None:
            return error
        return Unavailable(f"the server has ended: {self._server.words()}")


def _check_mask_token(given: Optional[int], info: ModelInfo) -> None:
    """The model knows its mask token, so that another one can only be a mistake."""
    if given is None or given in (-1, info.mask_token_id):
        return
    if 0 <= given < info.vocab_size:
        raise InvalidRequest(f"mask_token_id: expected {info.mask_token_id}, which is the model's, got {given}")
    warnings.warn(f"mask_token_id: the model has no token {given}; its mask token is {info.mask_token_id}",
                  stacklevel=3)



def _prompt_list(prompts: Any) -> list[Prompt]:
    if isinstance(prompts, (str, bytes, Mapping)) or not isinstance(prompts, Iterable):
        raise InvalidRequest(f"prompts: expected a list of prompts, got {type(prompts).__name__}")
    listed: list[Prompt] = list(prompts)
    for kind, what in ((int, "token ids"), (Mapping, "messages")):
        if listed and isinstance(listed[0], kind):
            raise InvalidRequest(f"prompts: expected a list of prompts, got a list of {what}, which is one prompt")
    return listed


def _params_list(params: Any, count: int) -> list[SamplingParams]:
    if params is None or isinstance(params, SamplingParams):
        return [SamplingParams() if params is None else params] * count
    listed: list[SamplingParams] = list(params)
    if len(listed) != count:
        raise InvalidRequest(f"sampling_params: expected one, or {count} for {count} prompts, got {len(listed)}")
    return listed


def _with_logprobs(params: SamplingParams) -> SamplingParams:
    """A copy that asks for what JetEngine always reports."""
    if not isinstance(params, SamplingParams):
        raise InvalidRequest(f"sampling_params: expected SamplingParams, got {type(params).__name__}")
    params = copy.copy(params)
    if params.logprobs is None:
        params.logprobs = 0
    return params


def _item(sample: Sample, block_length: int, with_top: bool) -> dict[str, Any]:
    item = {
        "text": sample.text,
        "token_ids": list(sample.token_ids),
        "trajectory": trajectory(sample.steps, sample.usage.prompt_tokens, block_length),
        "logprobs": list(sample.logprobs),
        "entropies": list(sample.entropies),
        "index": sample.index,
        "finish_reason": sample.reason,
        "stop_reason": sample.stop_reason,
        "usage": sample.usage,
        "seed": sample.seed,
    }
    if with_top:
        item["top"] = [list(one) for one in sample.top]
    return item


def trajectory(steps: Sequence[int], prompt_tokens: int, block_length: int) -> list[int]:
    """Steps counted from 1 over the whole answer, for steps that are counted from 0 within each block.

    Every step reveals a token, so a block has taken one more than its last step.
    """
    out: list[int] = []
    before = 0  # steps of the blocks before
    begin = 0
    end = block_length - prompt_tokens % block_length  # the first block opens with the prompt's remainder
    while begin < len(steps):
        block = steps[begin:end]
        out += [before + step + 1 for step in block]
        before += max(block) + 1
        begin, end = end, end + block_length
    return out
