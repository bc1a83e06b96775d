# SPDX-License-Identifier: Apache-2.0
"""instructor, unchanged."""

import unittest

import instructor
import openai

from chat_job import NAME, ChatJobTest
from typed_answer import JSON_QUESTION, Capital


class InstructorTest(ChatJobTest):
    def ask(self, mode, **fields):
        client = instructor.from_openai(openai.OpenAI(base_url=f"{self.url}/v1", api_key="none"), mode=mode)
        return client.chat.completions.create(model=NAME, messages=[{"role": "user", "content": JSON_QUESTION}],
                                              response_model=Capital, max_retries=0, **fields)

    def test_a_tool_brings_an_answer_of_the_type(self):
        self.assertIsInstance(self.ask(instructor.Mode.TOOLS), Capital)

    def test_a_schema_brings_an_answer_of_the_type(self):
        self.assertIsInstance(self.ask(instructor.Mode.JSON_SCHEMA), Capital)


if __name__ == "__main__":
    unittest.main()
