# SPDX-License-Identifier: Apache-2.0
"""A chat model on two ranks for the tests of a client, and questions that it answers right."""

import json
import pathlib
import shutil
import tempfile
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
        cls.job = cls.enterClassContext(ServedJob(ranks=2, model=cls.model_folder()))
        cls.url = f"http://{cls.job.http_address}"

    @classmethod
    def model_folder(cls):
        return CHAT_MODEL

    @classmethod
    def tearDownClass(cls):
        unknown = [line for line in cls.job.read_log().splitlines() if "unknown field" in line]
        assert not unknown, unknown


class LongChatJobTest(ChatJobTest):
    """The model takes prompts that are longer than those it has learnt from, such as those of agents."""

    @classmethod
    def model_folder(cls):
        folder = pathlib.Path(cls.enterClassContext(tempfile.TemporaryDirectory(prefix="sdar-model-"))) / NAME
        shutil.copytree(CHAT_MODEL, folder)
        config = json.loads((folder / "config.json").read_text())
        config["max_position_embeddings"] = 32768
        (folder / "config.json").write_text(json.dumps(config))
        return folder
