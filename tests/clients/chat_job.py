# SPDX-License-Identifier: Apache-2.0
"""A chat model on two ranks for the tests of a client, and questions that it answers right."""

import unittest

from served_job import SOURCE, ServedJob

CHAT_MODEL = SOURCE / "models/sdar-tiny-chat"
NAME = "sdar-tiny-chat"

QUESTION, ANSWER = "What is the capital of Chile?", "The capital of Chile is Santiago."
OTHERS = {"What is the capital of Peru?": "The capital of Peru is Lima.", "What is 8 * 2?": "8 * 2 = 16."}

# With a tool get_weather(city) that answers WEATHER.
WEATHER_QUESTION, WEATHER = "What is the weather in Lima?", "sunny, 21 degrees"
WEATHER_ANSWER = "It is sunny in Lima, 21 degrees."
WEATHER_PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


class ChatJobTest(unittest.TestCase):
    """The tests of a class share a job, at cls.url."""

    @classmethod
    def setUpClass(cls):
        cls.job = cls.enterClassContext(ServedJob(ranks=2, model=CHAT_MODEL))
        cls.url = f"http://{cls.job.http_address}"

    @classmethod
    def tearDownClass(cls):
        unknown = [line for line in cls.job.read_log().splitlines() if "unknown field" in line]
        assert not unknown, unknown
