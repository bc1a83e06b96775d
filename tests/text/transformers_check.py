# SPDX-License-Identifier: Apache-2.0
"""Chats as transformers writes them: ids of sdar-tokenize beside those of apply_chat_template."""

import copy
import importlib.util
import itertools
import json
import os
import pathlib
import subprocess
import tempfile
import unittest

os.environ["TRANSFORMERS_VERBOSITY"] = "error"
os.environ["HF_HUB_OFFLINE"] = "1"
from transformers import Qwen2Tokenizer  # noqa: E402  (reads the variables above)

SOURCE = pathlib.Path(os.environ["SDAR_SOURCE_DIR"])
TOKENIZE = pathlib.Path(os.environ["SDAR_BIN_DIR"]) / "sdar-tokenize"
MODEL = SOURCE / "models/sdar-tiny"

WEATHER = {"type": "function", "function": {
    "name": "weather", "description": " The weather of a city, \u00e9t\u00e9 comme hiver. ",
    "parameters": {"type": "object", "required": ["city"], "properties": {
        "city": {"type": "string", "description": "Its name."},
        "days": {"type": ["integer", "null"], "minimum": 1, "maximum": 18446744073709551616}}}}}
TIME = {"type": "function", "function": {"name": "time", "parameters": {"type": "object", "properties": {}}}}
ARGUMENTS = {"city": "S\u00e3o Paulo", "days": 123456789012345678901234567890, "exact": True, "near": [1, 2.5, None],
             "within": {"km": -3}}


def call(name, arguments):
    return {"id": "call_1", "type": "function", "function": {"name": name, "arguments": arguments}}


def user(text):
    return {"role": "user", "content": text}


BEGINNINGS = {
    "none": [],
    "system": [{"role": "system", "content": "Be brief."}],
    "developer": [{"role": "developer", "content": "Be brief, please."}],
}
CONVERSATIONS = {
    "one turn": [user("What is the capital of Chile?")],
    "parts": [user([{"type": "text", "text": "Two"}, {"type": "text", "text": "parts."}])],
    "two turns": [user("Hi"), {"role": "assistant", "content": "Hello."}, user("Bye")],
    "thinking": [user("Hi"), {"role": "assistant", "content": "<think>\nHm.\n</think>\n\nHello."}, user("Bye")],
    "reasoning": [user("Hi"), {"role": "assistant", "content": "Hello.", "reasoning_content": "Hm."}, user("Bye")],
    "call": [user("Weather?"), {"role": "assistant", "content": None, "tool_calls": [call("weather", ARGUMENTS)]},
             {"role": "tool", "content": "{\"sun\": true}"}],
    "calls": [user("Weather?"), {"role": "assistant", "tool_calls": [call("weather", ARGUMENTS), call("time", {})]},
              {"role": "tool", "content": "sun"}, {"role": "tool", "content": "12:00"},
              {"role": "assistant", "content": "Sun at noon."}, user("And then?")],
    "words and call": [user("Weather?"), {"role": "assistant", "content": "I look.",
                                          "tool_calls": [call("weather", ARGUMENTS)]},
                       {"role": "tool", "content": "sun"}],
    "late developer": [user("Hi"), {"role": "developer", "content": "Be polite."}, user("Well?")],
}


def cases():
    choices = itertools.product(BEGINNINGS, CONVERSATIONS, (None, [WEATHER, TIME]), (None, False, True))
    for beginning, conversation, tools, thinking in choices:
        line = {"messages": BEGINNINGS[beginning] + CONVERSATIONS[conversation],
                "add_generation_prompt": conversation != "late developer"}
        if tools is not None:
            line["tools"] = tools
        if thinking is not None:
            line["enable_thinking"] = thinking
        yield line


def as_clients_send(line):
    """The same with arguments as text, as the OpenAI API has them."""
    line = copy.deepcopy(line)
    for message in line["messages"]:
        for each in message.get("tool_calls", []):
            each["function"]["arguments"] = json.dumps(each["function"]["arguments"], ensure_ascii=False)
    return line


def joined(content):
    return "\n".join(part["text"] for part in content) if isinstance(content, list) else content


def as_transformers_takes(line, fill):
    """Developers as the system, parts as one text, and with `fill` a text where there is none."""
    messages = copy.deepcopy(line["messages"])
    for message in messages:
        message["role"] = "system" if message["role"] == "developer" else message["role"]
        if "content" in message:
            message["content"] = joined(message["content"])
        if fill and message.get("content") is None:
            message["content"] = ""
    return messages


def expected(tokenizer, line):
    kwargs = {key: line[key] for key in ("tools", "enable_thinking", "add_generation_prompt") if key in line}

    def ids(fill):
        return tokenizer.apply_chat_template(as_transformers_takes(line, fill), tokenize=True, return_dict=False,
                                             **kwargs)
    try:
        return ids(False)
    except Exception:  # the template takes no null for a text
        return ids(True)


def templates():
    trl = pathlib.Path(importlib.util.find_spec("trl").origin).parent / "chat_templates"
    found = {name: (trl / f"{name}.jinja").read_text() for name in ("qwen2_5", "qwen3")}
    for path in (SOURCE / "tests/text/templates").glob("*.jinja"):
        found[path.stem] = path.read_text()
    return found


class TransformersCheck(unittest.TestCase):
    def compare(self, folder, template):
        tokenizer = Qwen2Tokenizer.from_pretrained(folder)
        tokenizer.chat_template = template
        lines = list(cases())
        for form in (lambda line: line, as_clients_send):
            sent = "".join(json.dumps(form(line)) + "\n" for line in lines)
            done = subprocess.run([TOKENIZE, folder], input=sent, capture_output=True, text=True, timeout=120)
            answers = [json.loads(line) for line in done.stdout.splitlines()]
            self.assertEqual(len(answers), len(lines), done.stderr)
            for line, answer in zip(lines, answers):
                with self.subTest(line=line):
                    self.assertNotIn("error", answer)
                    self.assertEqual(answer["ids"], expected(tokenizer, line))

    def folder_with(self, files, template):
        folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory(prefix="sdar-templates-")))
        for file in files.iterdir():
            if file.suffix in (".json", ".txt") and not file.name.startswith(("config", "model", "generation")):
                (folder / file.name).write_bytes(file.read_bytes())
        config = json.loads((folder / "tokenizer_config.json").read_text())
        config.pop("chat_template", None)
        config.pop("auto_map", None)
        (folder / "tokenizer_config.json").write_text(json.dumps(config))
        (folder / "chat_template.jinja").write_text(template)
        return folder

    def test_chats_of_published_templates_have_the_ids_of_transformers(self):
        self.assertGreaterEqual(len(list(cases())), 20)
        for name, template in templates().items():
            with self.subTest(template=name):
                self.compare(self.folder_with(MODEL, template), template)

    def test_chats_of_the_released_models_have_the_ids_of_transformers(self):
        files = os.environ.get("SDAR_TOKENIZER_DIR")
        if not files:
            self.skipTest("SDAR_TOKENIZER_DIR is not set")
        template = json.loads((pathlib.Path(files) / "tokenizer_config.json").read_text())["chat_template"]
        self.compare(self.folder_with(pathlib.Path(files), template), template)

    def test_a_tokenizer_that_transformers_saved_again_has_the_same_ids(self):
        with tempfile.TemporaryDirectory(prefix="sdar-resaved-") as folder:
            tokenizer = Qwen2Tokenizer.from_pretrained(MODEL)
            tokenizer.save_pretrained(folder)
            for text in ("Hello, world!", "<|im_start|>user\nHi<|im_end|>", "\u00e9\u0301 12345 \U0001f600"):
                done = subprocess.run([TOKENIZE, folder], input=json.dumps({"text": text}), capture_output=True,
                                      text=True, timeout=60)
                self.assertEqual(json.loads(done.stdout)["ids"], tokenizer.encode(text), done.stderr)


if __name__ == "__main__":
    unittest.main()
