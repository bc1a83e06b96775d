# SPDX-License-Identifier: Apache-2.0
"""pydantic-ai, unchanged."""

import unittest

from pydantic import BaseModel
from pydantic_ai import Agent, NativeOutput, PromptedOutput, ToolOutput
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.openai import OpenAIProvider

from chat_job import ANSWER, NAME, QUESTION, WEATHER, WEATHER_ANSWER, WEATHER_QUESTION, ChatJobTest
from typed_answer import JSON_QUESTION, Capital


MODELS = [OpenAIChatModel, OpenAIResponsesModel]


class Anything(BaseModel, extra="allow"):
    """What is only prompted for is any JSON object. This small model does not find the members of a type that way."""


class PydanticAiTest(ChatJobTest):
    def agent(self, model, **options):
        """An agent over the API of this kind of model."""
        provider = OpenAIProvider(base_url=f"{self.url}/v1", api_key="none")
        return Agent(model(NAME, provider=provider), **options)

    def test_an_agent_answers(self):
        for model in MODELS:
            with self.subTest(model.__name__):
                self.assertEqual(self.agent(model).run_sync(QUESTION).output, ANSWER)

    def test_an_agent_calls_its_tool_and_tells_the_result(self):
        for model in MODELS:
            asked = []

            def get_weather(city: str) -> str:
                """The weather of a city."""
                asked.append(city)
                return WEATHER
            with self.subTest(model.__name__):
                answer = self.agent(model, tools=[get_weather]).run_sync(WEATHER_QUESTION)
                self.assertEqual(asked, ["Lima"])
                self.assertEqual(answer.output, WEATHER_ANSWER)

    def test_an_output_has_the_type_that_was_asked_for(self):
        outputs = {ToolOutput: Capital, NativeOutput: Capital, PromptedOutput: Anything}
        for model in MODELS:
            for output, kind in outputs.items():
                with self.subTest(f"{model.__name__}, {output.__name__}"):
                    agent = self.agent(model, output_type=output(kind), model_settings={"max_tokens": 100})
                    self.assertIsInstance(agent.run_sync(JSON_QUESTION).output, kind)

    def test_a_stream_brings_the_text(self):
        for model in MODELS:
            with self.subTest(model.__name__), self.agent(model).run_stream_sync(QUESTION) as answer:
                self.assertEqual("".join(answer.stream_text(delta=True)), ANSWER)


if __name__ == "__main__":
    unittest.main()
