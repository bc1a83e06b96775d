# SPDX-License-Identifier: Apache-2.0
"""litellm, unchanged."""

import asyncio
import json
import os
import unittest

from chat_job import (ANSWER, NAME, QUESTION, WEATHER, WEATHER_ANSWER, WEATHER_PARAMETERS, WEATHER_QUESTION,
                      ChatJobTest)

# Otherwise the list of prices is fetched.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

import litellm  # noqa: E402  (reads the variable above)

TOOLS = [{"type": "function", "function": {"name": "get_weather", "description": "The weather of a city.",
                                           "parameters": WEATHER_PARAMETERS}}]


class LiteLlmTest(ChatJobTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.settings = {"model": f"openai/{NAME}", "api_base": f"{cls.url}/v1", "api_key": "none"}

    def ask(self, **fields):
        return litellm.completion(**{**self.settings, "messages": [{"role": "user", "content": QUESTION}], **fields})

    def test_a_chat_is_answered(self):
        answer = self.ask()
        self.assertEqual(answer.choices[0].message.content, ANSWER)
        self.assertGreater(answer.usage.completion_tokens, 0)

    def test_a_stream_brings_the_text(self):
        self.assertEqual("".join(chunk.choices[0].delta.content or "" for chunk in self.ask(stream=True)), ANSWER)

    def test_an_async_chat_is_answered(self):
        answer = asyncio.run(litellm.acompletion(**self.settings, messages=[{"role": "user", "content": QUESTION}]))
        self.assertEqual(answer.choices[0].message.content, ANSWER)

    def test_a_text_is_completed(self):
        model = {"model": f"text-completion-openai/{NAME}", "prompt": "The capital of", "max_tokens": 6}
        answer = litellm.text_completion(**{**self.settings, **model})
        self.assertEqual(answer.usage.completion_tokens, 6)
        chunks = litellm.text_completion(**{**self.settings, **model}, stream=True)
        self.assertEqual("".join(chunk.choices[0].text or "" for chunk in chunks), answer.choices[0].text)

    def test_a_tool_is_called_and_its_result_is_told(self):
        messages = [{"role": "user", "content": WEATHER_QUESTION}]
        called = self.ask(messages=messages, tools=TOOLS).choices[0].message
        (call,) = called.tool_calls
        self.assertEqual((call.function.name, json.loads(call.function.arguments)), ("get_weather", {"city": "Lima"}))
        messages += [called, {"role": "tool", "tool_call_id": call.id, "content": WEATHER}]
        self.assertEqual(self.ask(messages=messages, tools=TOOLS).choices[0].message.content, WEATHER_ANSWER)


if __name__ == "__main__":
    unittest.main()
