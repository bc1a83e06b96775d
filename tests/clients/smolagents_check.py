# SPDX-License-Identifier: Apache-2.0
"""smolagents, unchanged."""

import unittest

from smolagents import OpenAIModel, Tool

from chat_job import ANSWER, NAME, QUESTION, WEATHER, WEATHER_QUESTION, ChatJobTest


class GetWeather(Tool):
    name = "get_weather"
    description = "The weather of a city."
    inputs = {"city": {"type": "string", "description": "The city."}}
    output_type = "string"

    def forward(self, city):
        return f"{city}: {WEATHER}"


def user(text):
    return [{"role": "user", "content": [{"type": "text", "text": text}]}]


class SmolagentsTest(ChatJobTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.settings = {"model_id": NAME, "api_base": f"{cls.url}/v1", "api_key": "none"}
        cls.model = OpenAIModel(**cls.settings)

    def test_a_chat_is_answered(self):
        answer = self.model(user(QUESTION))
        self.assertEqual(answer.content, ANSWER)
        self.assertGreater(answer.token_usage.output_tokens, 0)

    def test_a_stream_brings_the_text(self):
        deltas = list(self.model.generate_stream(user(QUESTION)))
        self.assertEqual("".join(delta.content or "" for delta in deltas), ANSWER)

    def test_a_tool_is_called(self):
        answer = self.model(user(WEATHER_QUESTION), tools_to_call_from=[GetWeather()])
        (call,) = answer.tool_calls
        self.assertEqual((call.function.name, call.function.arguments), ("get_weather", '{"city":"Lima"}'))


if __name__ == "__main__":
    unittest.main()
