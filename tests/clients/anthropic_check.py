# SPDX-License-Identifier: Apache-2.0
"""The anthropic package, unchanged."""

import asyncio
import unittest

import anthropic

from chat_job import (ANSWER, NAME, QUESTION, WEATHER, WEATHER_ANSWER, WEATHER_PARAMETERS, WEATHER_QUESTION,
                      ChatJobTest)

MESSAGES = [{"role": "user", "content": QUESTION}]
TOOLS = [{"name": "get_weather", "description": "The weather of a city.", "input_schema": WEATHER_PARAMETERS}]


class AnthropicTest(ChatJobTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.settings = {"base_url": cls.url, "api_key": "none"}
        cls.client = cls.enterClassContext(anthropic.Anthropic(**cls.settings))

    def ask(self, **fields):
        return self.client.messages.create(**{"model": NAME, "max_tokens": 64, "messages": MESSAGES, **fields})

    def test_a_message_is_answered(self):
        answer = self.ask(system="You are a helpful assistant.")
        self.assertEqual([(part.type, part.text) for part in answer.content], [("text", ANSWER)])
        self.assertEqual(answer.stop_reason, "end_turn")
        self.assertGreater(answer.usage.output_tokens, 0)

    def test_an_async_message_is_answered(self):
        async def ask():
            async with anthropic.AsyncAnthropic(**self.settings) as client:
                return await client.messages.create(model=NAME, max_tokens=64, messages=MESSAGES)
        self.assertEqual(asyncio.run(ask()).content[0].text, ANSWER)

    def test_a_stream_brings_the_text_in_parts_and_the_message(self):
        with self.client.messages.stream(model=NAME, max_tokens=64, messages=MESSAGES) as stream:
            parts = list(stream.text_stream)
            message = stream.get_final_message()
        self.assertGreater(len(parts), 1)
        self.assertEqual("".join(parts), ANSWER)
        self.assertEqual((message.content[0].text, message.stop_reason), (ANSWER, "end_turn"))

    def test_a_limit_of_tokens_is_told(self):
        self.assertEqual(self.ask(max_tokens=2).stop_reason, "max_tokens")

    def test_a_tool_is_used_and_its_result_is_told(self):
        messages = [{"role": "user", "content": WEATHER_QUESTION}]
        used = self.ask(messages=messages, tools=TOOLS)
        self.assertEqual(used.stop_reason, "tool_use")
        (use,) = [part for part in used.content if part.type == "tool_use"]
        self.assertEqual((use.name, use.input), ("get_weather", {"city": "Lima"}))
        messages += [{"role": "assistant", "content": used.content},
                     {"role": "user", "content": [{"type": "tool_result", "tool_use_id": use.id, "content": WEATHER}]}]
        self.assertEqual(self.ask(messages=messages, tools=TOOLS).content[0].text, WEATHER_ANSWER)

    def test_a_stream_collects_the_input_of_a_tool(self):
        with self.client.messages.stream(model=NAME, max_tokens=64, tools=TOOLS,
                                         messages=[{"role": "user", "content": WEATHER_QUESTION}]) as stream:
            (use,) = stream.get_final_message().content
        self.assertEqual((use.name, use.input), ("get_weather", {"city": "Lima"}))

    def test_tokens_are_counted_as_a_call_counts_them(self):
        count = self.client.messages.count_tokens(model=NAME, messages=MESSAGES)
        self.assertEqual(count.input_tokens, self.ask().usage.input_tokens)

    def test_errors_are_of_the_kinds_that_the_package_knows(self):
        with self.assertRaises(anthropic.BadRequestError) as caught:
            self.ask(max_tokens=-1)
        self.assertEqual(caught.exception.type, "invalid_request_error")
        with self.assertRaises(anthropic.NotFoundError):
            self.ask(model="another")


if __name__ == "__main__":
    unittest.main()
