# SPDX-License-Identifier: Apache-2.0
"""pydantic-ai, unchanged."""

import unittest

from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.openai import OpenAIProvider

from chat_job import ANSWER, NAME, QUESTION, WEATHER, WEATHER_ANSWER, WEATHER_QUESTION, ChatJobTest


class PydanticAiTest(ChatJobTest):
    def agents(self, **options):
        """An agent over each of the two APIs."""
        for kind in (OpenAIChatModel, OpenAIResponsesModel):
            with self.subTest(kind.__name__):
                # An agent closes the connections of its provider's event loop.
                provider = OpenAIProvider(base_url=f"{self.url}/v1", api_key="none")
                yield Agent(kind(NAME, provider=provider), **options)

    def test_an_agent_answers(self):
        for agent in self.agents():
            answer = agent.run_sync(QUESTION)
            self.assertEqual(answer.output, ANSWER)

    def test_an_agent_calls_its_tool_and_tells_the_result(self):
        asked = []

        def get_weather(city: str) -> str:
            """The weather of a city."""
            asked.append(city)
            return WEATHER
        for agent in self.agents(tools=[get_weather]):
            asked.clear()
            answer = agent.run_sync(WEATHER_QUESTION)
            self.assertEqual(asked, ["Lima"])
            self.assertEqual(answer.output, WEATHER_ANSWER)

    def test_a_stream_brings_the_text(self):
        for agent in self.agents():
            with agent.run_stream_sync(QUESTION) as answer:
                self.assertEqual("".join(answer.stream_text(delta=True)), ANSWER)


if __name__ == "__main__":
    unittest.main()
