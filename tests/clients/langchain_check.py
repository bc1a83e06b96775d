# SPDX-License-Identifier: Apache-2.0
"""langchain-openai, unchanged."""

import unittest

from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAI

from chat_job import ANSWER, NAME, OTHERS, QUESTION, WEATHER, WEATHER_ANSWER, WEATHER_QUESTION, ChatJobTest
from typed_answer import CAPITAL, JSON_QUESTION, Capital


@tool
def get_weather(city: str) -> str:
    """The weather of a city."""
    return f"{city}: {WEATHER}"


class LangChainTest(ChatJobTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.settings = {"base_url": f"{cls.url}/v1", "api_key": "none", "model": NAME}
        cls.chat = ChatOpenAI(**cls.settings)

    def test_a_chat_is_answered(self):
        answer = self.chat.invoke(QUESTION)
        self.assertEqual(answer.content, ANSWER)
        self.assertGreater(answer.usage_metadata["output_tokens"], 0)

    def test_a_stream_brings_the_text_in_parts(self):
        parts = [chunk.content for chunk in self.chat.stream(QUESTION) if chunk.content]
        self.assertEqual("".join(parts), ANSWER)
        self.assertGreater(len(parts), 1)

    def test_a_batch_is_answered_in_its_order(self):
        self.assertEqual([answer.content for answer in self.chat.batch(list(OTHERS))], list(OTHERS.values()))

    def test_a_bound_tool_is_called_and_its_result_is_told(self):
        chat = self.chat.bind_tools([get_weather])
        history = [HumanMessage(WEATHER_QUESTION)]
        called = chat.invoke(history)
        (call,) = called.tool_calls
        self.assertEqual((call["name"], call["args"]), ("get_weather", {"city": "Lima"}))
        history += [called, ToolMessage(WEATHER, tool_call_id=call["id"])]
        self.assertEqual(chat.invoke(history).content, WEATHER_ANSWER)

    def test_a_streamed_call_is_joined_to_the_same(self):
        chunks = list(self.chat.bind_tools([get_weather]).stream(WEATHER_QUESTION))
        (call,) = sum(chunks[1:], chunks[0]).tool_calls
        self.assertEqual((call["name"], call["args"]), ("get_weather", {"city": "Lima"}))

    def test_an_answer_has_the_type_that_was_asked_for(self):
        for method in ("json_schema", "json_mode"):
            with self.subTest(method):
                answer = self.chat.with_structured_output(Capital, method=method).invoke(JSON_QUESTION)
                self.assertEqual(answer, CAPITAL)
        answer = self.chat.with_structured_output(Capital, method="function_calling").invoke(JSON_QUESTION)
        self.assertIsInstance(answer, Capital)

    def test_a_batch_of_completions_is_answered_in_its_order(self):
        prompts = ["The capital of", "Count from 2 to"]
        completion = OpenAI(**self.settings, max_tokens=6, temperature=0)
        alone = [completion.invoke(prompt) for prompt in prompts]
        self.assertEqual(completion.batch(prompts), alone)
        self.assertNotEqual(alone[0], alone[1])


if __name__ == "__main__":
    unittest.main()
