# SPDX-License-Identifier: Apache-2.0
"""smolagents, unchanged."""

import unittest

from smolagents import OpenAIModel, Tool, ToolCallingAgent

from chat_job import ANSWER, NAME, QUESTION, WEATHER, WEATHER_QUESTION, ChatJobTest, LongChatJobTest


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


class RecordingModel(OpenAIModel):
    def generate(self, *args, **kwargs):
        self.answers.append(super().generate(*args, **kwargs))
        return self.answers[-1]


class ToolCallingAgentTest(LongChatJobTest):
    def test_an_agent_calls_a_tool_in_every_step(self):
        model = RecordingModel(NAME, api_base=f"{self.url}/v1", api_key="none", max_tokens=200)
        model.answers = []
        ToolCallingAgent([GetWeather()], model, max_steps=3, verbosity_level=0).run(WEATHER_QUESTION)
        self.assertTrue(model.answers)
        for answer in model.answers[:3]:
            called = {call.function.name for call in answer.tool_calls}
            self.assertTrue(called)
            self.assertLessEqual(called, {"get_weather", "final_answer"})


if __name__ == "__main__":
    unittest.main()
