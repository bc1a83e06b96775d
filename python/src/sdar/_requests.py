# SPDX-License-Identifier: Apache-2.0
"""From Python values to the messages of the gRPC API.

What would not fit a field of a message is refused here, by the field's name. The server checks the ranges.
"""

from __future__ import annotations

import json
import operator
import reprlib
from typing import Any, Mapping, Optional, Sequence, Union

from google.protobuf import descriptor

from sdar.errors import InvalidRequest
from sdar.params import SamplingParams
from sdar.v1 import generation_pb2 as pb

Message = Mapping[str, Any]
"""A turn of a chat: role and content, and perhaps reasoning_content and tool_calls (OpenAI's list)."""

Prompt = Union[str, Sequence[int], Sequence[Message]]
"""A text that is sent as it is, token ids, or a chat that the model's template renders."""

_FIELD = descriptor.FieldDescriptor
_INTEGER_RANGES = {
    _FIELD.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    _FIELD.CPPTYPE_UINT32: (0, 2**32 - 1),
    _FIELD.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    _FIELD.CPPTYPE_UINT64: (0, 2**64 - 1),
}
_IDS = (0, 2**32 - 1)
_DRAFTS = {"auto": -1, "off": 0}
_MESSAGE_FIELDS = ("role", "content", "reasoning_content", "tool_calls")


def generate_request(
    prompt: Prompt,
    params: Optional[SamplingParams],
    *,
    request_id: str = "",
    tools: Optional[Sequence[Mapping[str, Any]]] = None,
    enable_thinking: Optional[bool] = None,
    add_generation_prompt: Optional[bool] = None,
    chat_template: Optional[str] = None,
) -> pb.GenerateRequest:
    request = pb.GenerateRequest(request_id=_text("request_id", request_id))
    _set_prompt(request, prompt, tools, enable_thinking, add_generation_prompt, chat_template)
    params = SamplingParams() if params is None else params
    if not isinstance(params, SamplingParams):
        raise InvalidRequest(f"params: expected SamplingParams, got {type(params).__name__}")
    for group in (request.sampling, request.stopping, request.output, request.scheduling):
        _fill(group, params)
    return request


def score_request(
    prompt: Optional[Prompt],
    continuation: Union[str, Sequence[int]],
    *,
    request_id: str = "",
    block_length: Optional[int] = None,
    top_logprobs: Optional[int] = None,
    priority: Optional[int] = None,
    timeout_seconds: Optional[float] = None,
) -> pb.ScoreRequest:
    request = pb.ScoreRequest(request_id=_text("request_id", request_id))
    if prompt is not None:
        _set_prompt(request, prompt, None, None, None, None)
    if isinstance(continuation, str):
        request.text = _text("continuation", continuation)
    else:
        request.ids.ids.extend(_ids("continuation", continuation))
        request.ids.SetInParent()
    fields = pb.ScoreRequest.DESCRIPTOR.fields_by_name
    for name, value in (("block_length", block_length), ("top_logprobs", top_logprobs)):
        if value is not None:
            setattr(request, name, _scalar(fields[name], value))
    _fill(request.scheduling, SamplingParams(priority=priority, timeout_seconds=timeout_seconds))
    return request


def tokenize_request(
    text: Union[str, Sequence[Message]],
    *,
    tools: Optional[Sequence[Mapping[str, Any]]] = None,
    enable_thinking: Optional[bool] = None,
    add_generation_prompt: Optional[bool] = None,
    chat_template: Optional[str] = None,
) -> pb.TokenizeRequest:
    request = pb.TokenizeRequest()
    if isinstance(text, str):
        _refuse_chat_options(tools, enable_thinking, add_generation_prompt, chat_template)
        request.text = _text("text", text)
    else:
        _set_chat(request.chat, text, tools, enable_thinking, add_generation_prompt, chat_template)
    return request


def detokenize_request(ids: Sequence[int], skip_special_tokens: bool) -> pb.DetokenizeRequest:
    return pb.DetokenizeRequest(ids=_ids("ids", ids), skip_special_tokens=skip_special_tokens)


def abort_request(request_id: str) -> pb.AbortRequest:
    return pb.AbortRequest(request_id=_text("request_id", request_id))


def is_chat(prompt: Prompt) -> bool:
    """Whether a prompt is a list of messages, and not text or token ids."""
    return (isinstance(prompt, Sequence) and not isinstance(prompt, (str, bytes)) and len(prompt) > 0
            and isinstance(prompt[0], Mapping))


def _set_prompt(
    request: Union[pb.GenerateRequest, pb.ScoreRequest],
    prompt: Prompt,
    tools: Optional[Sequence[Mapping[str, Any]]],
    enable_thinking: Optional[bool],
    add_generation_prompt: Optional[bool],
    chat_template: Optional[str],
) -> None:
    if is_chat(prompt):
        _set_chat(request.chat, prompt, tools, enable_thinking, add_generation_prompt, chat_template)
        return
    _refuse_chat_options(tools, enable_thinking, add_generation_prompt, chat_template)
    if isinstance(prompt, str):
        request.prompt = _text("prompt", prompt)
    else:
        request.prompt_ids.ids.extend(_ids("prompt", prompt))
        request.prompt_ids.SetInParent()  # no ids are a prompt too, which the server refuses


def _refuse_chat_options(tools: Any, enable_thinking: Any, add_generation_prompt: Any, chat_template: Any) -> None:
    options = {"tools": tools, "enable_thinking": enable_thinking, "add_generation_prompt": add_generation_prompt,
               "chat_template": chat_template}
    for name, value in options.items():
        if value is not None:
            raise InvalidRequest(f"{name}: only a chat, a list of messages, has it")


def _set_chat(
    chat: pb.Chat,
    messages: Any,
    tools: Optional[Sequence[Mapping[str, Any]]],
    enable_thinking: Optional[bool],
    add_generation_prompt: Optional[bool],
    chat_template: Optional[str],
) -> None:
    chat.SetInParent()
    for number, message in enumerate(messages):
        _add_message(chat, f"messages[{number}]", message)
    if tools is not None:
        chat.tools_json = _json("tools", tools)
    if chat_template is not None:
        chat.chat_template = _text("chat_template", chat_template)
    fields = pb.Chat.DESCRIPTOR.fields_by_name
    for name, value in (("enable_thinking", enable_thinking), ("add_generation_prompt", add_generation_prompt)):
        if value is not None:
            setattr(chat, name, _scalar(fields[name], value))


def _add_message(chat: pb.Chat, name: str, message: Any) -> None:
    if not isinstance(message, Mapping):
        raise InvalidRequest(f"{name}: expected a mapping with role and content, got {type(message).__name__}")
    for key in message:
        if key not in _MESSAGE_FIELDS:
            raise InvalidRequest(f"{name}: expected {', '.join(_MESSAGE_FIELDS)}, got {str(key)[:64]!r}")
    added = chat.messages.add()
    added.role = _text(f"{name}.role", message.get("role", ""))
    content = message.get("content")
    added.content = "" if content is None else _text(f"{name}.content", content)
    if message.get("reasoning_content") is not None:
        added.reasoning_content = _text(f"{name}.reasoning_content", message["reasoning_content"])
    if message.get("tool_calls") is not None:
        added.tool_calls_json = _json(f"{name}.tool_calls", message["tool_calls"])


def _fill(message: Any, params: SamplingParams) -> None:
    """Sets every field of the message to the attribute of its name, unless that is None."""
    for field in message.DESCRIPTOR.fields:
        value = getattr(params, field.name)
        if value is None:
            continue
        if field.name == "logit_bias":
            message.logit_bias.update(_logit_bias(value))
        elif field.name == "structure":
            _fill_structure(message.structure, value)
        elif field.name == "stop":
            message.stop.extend(_stops(value))
        elif field.name == "stop_token_ids":
            message.stop_token_ids.extend(_ids(field.name, value))
        else:
            setattr(message, field.name, _scalar(field, value))


_STRUCTURES = ("json_schema", "json_object", "regex", "choice", "tools")
_STRUCTURE_OPTIONS = {"may_answer": "tools", "one_call": "tools"}


def _fill_structure(message: pb.Structure, value: Any) -> None:
    if not isinstance(value, Mapping):
        raise InvalidRequest(f"structure: expected a mapping, got {_shown(value)}")
    kinds = [key for key in value if key in _STRUCTURES]
    for key in value:
        if key not in _STRUCTURES and key != "after_thinking" and _STRUCTURE_OPTIONS.get(key) not in kinds:
            raise InvalidRequest(f"structure: expected one of {', '.join(_STRUCTURES)}, got {str(key)[:64]!r}")
    if len(kinds) != 1:
        raise InvalidRequest(f"structure: expected one of {', '.join(_STRUCTURES)}, got {len(kinds)}")
    kind, what = kinds[0], value[kinds[0]]
    if kind == "json_schema":
        message.json_schema = what if isinstance(what, str) else _json("structure.json_schema", what)
    elif kind == "json_object":
        message.json_object = _flag("structure.json_object", what)
    elif kind == "regex":
        message.regex = _text("structure.regex", what)
    elif kind == "choice":
        message.choice.texts.extend(_texts("structure.choice", what))
    else:
        _fill_tools(message.tools, value)
    message.after_thinking = _flag("structure.after_thinking", value.get("after_thinking", False))


def _fill_tools(message: pb.Structure.Tools, value: Mapping[str, Any]) -> None:
    tools = value["tools"]
    if isinstance(tools, str) or not isinstance(tools, Sequence):
        raise InvalidRequest(f"structure.tools: expected a list, got {_shown(tools)}")
    for number, tool in enumerate(tools):
        name = f"structure.tools[{number}]"
        if not isinstance(tool, Mapping) or "name" not in tool or set(tool) - {"name", "parameters"}:
            raise InvalidRequest(f"{name}: expected a mapping with name and parameters, got {_shown(tool)}")
        added = message.tools.add(name=_text(f"{name}.name", tool["name"]))
        if tool.get("parameters") is not None:
            added.parameters_json = _json(f"{name}.parameters", tool["parameters"])
    message.may_answer = _flag("structure.may_answer", value.get("may_answer", False))
    message.one_call = _flag("structure.one_call", value.get("one_call", False))


def _flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise InvalidRequest(f"{name}: expected True or False, got {_shown(value)}")
    return value


def _texts(name: str, value: Any) -> list[str]:
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise InvalidRequest(f"{name}: expected a list of texts, got {_shown(value)}")
    return [_text(f"{name}[{number}]", one) for number, one in enumerate(value)]


def _scalar(field: Any, value: Any) -> Any:
    """The value as a field of this type takes it."""
    if field.cpp_type == _FIELD.CPPTYPE_ENUM:
        return _enum(field, value)
    if field.cpp_type == _FIELD.CPPTYPE_BOOL:
        if not isinstance(value, bool):
            raise InvalidRequest(f"{field.name}: expected True or False, got {_shown(value)}")
        return value
    if field.cpp_type in (_FIELD.CPPTYPE_FLOAT, _FIELD.CPPTYPE_DOUBLE):
        return _number(field.name, value)
    if field.name == "drafts" and isinstance(value, str):
        if value not in _DRAFTS:
            raise InvalidRequest(f"drafts: expected 'auto', 'off' or 0 .. 64, got {_shown(value)}")
        return _DRAFTS[value]
    return _integer(field.name, value, *_INTEGER_RANGES[field.cpp_type])


def _enum(field: Any, value: Any) -> int:
    """value: the name of a constant in small letters."""
    numbers = {one.name.lower(): int(one.number) for one in field.enum_type.values if one.number != 0}
    if not isinstance(value, str) or value not in numbers:
        raise InvalidRequest(f"{field.name}: expected one of {', '.join(numbers)}, got {_shown(value)}")
    return numbers[value]


def _integer(name: str, value: Any, low: int, high: int) -> int:
    try:
        number = None if isinstance(value, bool) else operator.index(value)  # also NumPy's integers
    except TypeError:
        number = None
    if number is None or not low <= number <= high:
        raise InvalidRequest(f"{name}: expected an integer {low} .. {high}, got {_shown(value)}")
    return number


def _number(name: str, value: Any) -> float:
    try:
        if not isinstance(value, (bool, str, bytes)):
            return float(value)
    except (TypeError, ValueError, OverflowError):
        pass
    raise InvalidRequest(f"{name}: expected a number, got {_shown(value)}")


def _ids(name: str, values: Any) -> list[int]:
    if isinstance(values, (str, bytes)) or not hasattr(values, "__iter__"):
        raise InvalidRequest(f"{name}: expected token ids, got {_shown(values)}")
    ids = []
    for number, value in enumerate(values):
        if type(value) is not int or not 0 <= value <= _IDS[1]:  # the name is made only where it may be needed
            value = _integer(f"{name}[{number}]", value, *_IDS)
        ids.append(value)
    return ids


def _logit_bias(value: Any) -> dict[int, float]:
    if not isinstance(value, Mapping):
        raise InvalidRequest(f"logit_bias: expected a mapping of token ids to numbers, got {_shown(value)}")
    return {_integer("logit_bias", key, *_IDS): _number("logit_bias", bias) for key, bias in value.items()}


def _stops(value: Any) -> list[str]:
    if isinstance(value, str):
        return [_text("stop", value)]
    if isinstance(value, bytes) or not hasattr(value, "__iter__"):
        raise InvalidRequest(f"stop: expected a string or strings, got {_shown(value)}")
    return [_text("stop", one) for one in value]


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise InvalidRequest(f"{name}: expected a string, got {_shown(value)}")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InvalidRequest(f"{name}: half of a surrogate pair at character {error.start}") from None
    return value


def _json(name: str, value: Any) -> str:
    try:
        return json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidRequest(f"{name}: cannot be written as JSON: {error}") from None


def _shown(value: Any) -> str:
    """The beginning of a value that is refused."""
    return reprlib.repr(value)
