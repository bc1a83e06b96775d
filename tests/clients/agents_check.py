# SPDX-License-Identifier: Apache-2.0
"""openai-agents, unchanged, with its default API, which is Responses."""

import asyncio
import os
import unittest

from agents import Agent, Runner, function_tool

from chat_job import ANSWER, NAME, QUESTION, WEATHER, WEATHER_ANSWER, WEATHER_QUESTION, ChatJobTest

# Otherwise traces go to OpenAI's servers.
os.environ["OPENAI_AGENTS_DISABLE_TRACING"] = "1"
os.environ["OPENAI_API_KEY"] = "none"


class AgentsTest(ChatJobTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        os.environ["OPENAI_BASE_URL"] = f"{cls.url}/v1"
        # The package keeps one client, whose connections belong to one event loop.
        cls.loop = cls.enterClassContext(asyncio.Runner())

    def setUp(self):
        self.asked = asked = []

        @function_tool
        def get_weather(city: str) -> str:
            """The weather of a city."""
            asked.append(city)
            return WEATHER
        self.agent = Agent(name="weather", model=NAME, tools=[get_weather])

    def test_an_agent_answers(self):
        answer = self.loop.run(Runner.run(Agent(name="plain", model=NAME, instructions="Be brief."), QUESTION))
        self.assertEqual(answer.final_output, ANSWER)

    def test_the_runner_calls_the_tool_and_tells_its_result(self):
        answer = self.loop.run(Runner.run(self.agent, WEATHER_QUESTION))
        self.assertEqual(self.asked, ["Lima"])
        self.assertEqual(answer.final_output, WEATHER_ANSWER)

    def test_a_streamed_run_does_the_same(self):
        async def run():
            answer = Runner.run_streamed(self.agent, WEATHER_QUESTION)
            events = [event.data.type async for event in answer.stream_events() if event.type == "raw_response_event"]
            return answer.final_output, events
        text, events = self.loop.run(run())
        self.assertEqual(self.asked, ["Lima"])
        self.assertEqual(text, WEATHER_ANSWER)
        self.assertIn("response.output_text.delta", events)


if __name__ == "__main__":
    unittest.main()
