# SPDX-License-Identifier: Apache-2.0
"""llama-index, unchanged."""

import unittest

from llama_index.core import PromptTemplate
from llama_index.core.llms import ChatMessage
from llama_index.core.tools import FunctionTool
from llama_index.llms.openai_like import OpenAILike

from chat_job import ANSWER, NAME, QUESTION, WEATHER, WEATHER_QUESTION, ChatJobTest
from typed_answer import JSON_QUESTION, Capital


def get_weather(city: str) -> str:
    """The weather of a city."""
    return f"{city}: {WEATHER}"


class LlamaIndexTest(ChatJobTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.settings = {"model": NAME, "api_base": f"{cls.url}/v1", "api_key": "none"}
        cls.chats = OpenAILike(**cls.settings, is_chat_model=True, is_function_calling_model=True)
        cls.messages = [ChatMessage(role="user", content=QUESTION)]

    def test_a_chat_is_answered(self):
        self.assertEqual(self.chats.chat(self.messages).message.content, ANSWER)

    def test_a_stream_brings_the_text(self):
        parts = [part.delta for part in self.chats.stream_chat(self.messages) if part.delta]
        self.assertEqual("".join(parts), ANSWER)
        self.assertGreater(len(parts), 1)

    def test_a_text_is_completed_whole_and_as_a_stream(self):
        completions = OpenAILike(**self.settings, max_tokens=6)
        text = completions.complete("The capital of").text
        self.assertTrue(text)
        self.assertEqual("".join(part.delta or "" for part in completions.stream_complete("The capital of")), text)

    def test_a_tool_is_called(self):
        answer = self.chats.chat_with_tools([FunctionTool.from_defaults(get_weather)], user_msg=WEATHER_QUESTION)
        (call,) = self.chats.get_tool_calls_from_response(answer)
        self.assertEqual((call.tool_name, call.tool_kwargs), ("get_weather", {"city": "Lima"}))

    def test_an_answer_has_the_type_that_was_asked_for(self):
        prompt = PromptTemplate("{question}")
        for settings in ({}, {"should_use_structured_outputs": True}):
            with self.subTest(**settings):
                chats = OpenAILike(**self.settings, is_chat_model=True, is_function_calling_model=True, **settings)
                answer = chats.structured_predict(Capital, prompt, question=JSON_QUESTION)
                self.assertIsInstance(answer, Capital)
                answer = chats.as_structured_llm(Capital).chat([ChatMessage(role="user", content=JSON_QUESTION)])
                self.assertIsInstance(answer.raw, Capital)


if __name__ == "__main__":
    unittest.main()
