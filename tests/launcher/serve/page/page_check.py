# SPDX-License-Identifier: Apache-2.0
"""The page at / of a served model on two ranks, as a user meets it.

page_check.py PICTURE.png: instead takes the picture of the README. Skipped where there is no chromium.
"""

import json
import sys
import unittest

import page_test
from browser import Browser
from page_test import IDLE
from served_job import SOURCE, ServedJob

CHAT = SOURCE / "models/sdar-tiny-chat"
TOOLS = """[{"type": "function", "function": {"name": "get_weather", "description": "get weather",
            "parameters": {"type": "object", "properties": {"city": {}}, "required": ["city"]}}}]"""


def open_steps(page):
    page.evaluate("document.querySelectorAll('.steps summary').forEach((summary) => summary.click())")
    page.await_true("[...document.querySelectorAll('.steps')].every((steps) => steps.children.length > 1)")


def take_picture(path):
    """Two strategies side by side, one in the midst of its replay; below them an answer that is half written."""
    with ServedJob("--drafts=off", ranks=2, model=CHAT) as job, Browser() as page:
        page.open(f"http://{job.http_address}/", 1280, 760)
        page.await_true("model !== null")
        page.set("preset", "static")
        page.set("compare", "dynamic")
        page.ask("What is the capital of Chile?")
        page.await_true(f"exchanges.length === 1 && {IDLE}")
        open_steps(page)
        page.evaluate("""(() => { const range = document.querySelector(".player input");
            range.value = 7; range.dispatchEvent(new Event("input")); })()""")
        page.set("compare", "")
        page.set("pause", "2000")
        page.ask("And of Peru?")
        page.await_true("document.querySelectorAll('.live .final').length === 2 &&"
                        "document.querySelectorAll('.live .masked').length === 2")
        page.picture(path)


class ServedPageTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.job = cls.enterClassContext(ServedJob("--drafts=off", ranks=2, model=CHAT))
        cls.address = f"http://{cls.job.http_address}/"
        cls.page = cls.enterClassContext(Browser())

    def setUp(self):
        self.page.open(self.address)
        self.page.click("#clear")
        self.page.evaluate("$('defaults').click()")
        self.page.await_true("model !== null")

    def ask(self, text):
        before = self.page.count(".exchange")
        self.page.ask(text)
        self.page.await_true(f"document.querySelectorAll('.exchange').length === {before + 1} && {IDLE}")
        return self.page.text(".exchange:last-child .answer .text")

    def test_a_conversation_goes_on_from_an_example(self):
        self.page.click("#welcome button")
        self.page.await_true(f"document.querySelectorAll('.exchange').length === 1 && {IDLE}")
        self.assertEqual(self.page.text(".answer .text"), "The capital of Chile is Santiago.")
        self.assertEqual(self.ask("And of Peru?"), "The capital of Peru is Lima.")
        self.assertRegex(self.page.text(".stats"), r"^\d+ tokens · \d+\.\d\d tokens per pass · \d+\.\d\d s")

    def test_the_model_names_itself_and_its_defaults(self):
        self.assertEqual(self.page.text("#model"), "sdar-tiny-chat")
        self.assertEqual(self.page.text("#about"), "2048 tokens at most, blocks of 4")
        self.assertEqual(self.page.evaluate("['temperature', 'block_length', 'confidence_threshold'].map("
                                            "(name) => setting(name).placeholder)"), ["0", "4", "0.9"])
        self.assertEqual(self.page.evaluate("setting('remasking_strategy').options[0].textContent"),
                         "Default (low_confidence_dynamic)")

    def test_a_block_is_seen_half_revealed(self):
        self.page.set("preset", "static")
        self.page.set("pause", "400")
        self.page.ask("Count from 2 to 9.")
        self.page.await_true("document.querySelector('.answer .text').textContent.length > 4 &&"
                             "document.querySelectorAll('.live .final').length === 2 &&"
                             "document.querySelectorAll('.live .masked').length === 2")
        self.page.press("Escape")
        self.page.await_true(IDLE)
        self.assertIn("stopped", self.page.text(".stats"))
        self.assertEqual(self.page.count(".live"), 0)

    def test_the_steps_of_an_answer_are_all_there(self):
        self.page.set("preset", "static")
        text = self.ask("What is the capital of Chile?")
        open_steps(self.page)
        tokens = self.page.evaluate("[...document.querySelectorAll('.steps .token')]"
                                    ".map((node) => node.firstChild.textContent)")
        self.assertEqual("".join(tokens), text)
        # One token a step: a block of four is revealed by the steps 1 to 4, in some order.
        steps = self.page.evaluate("[...document.querySelector('.steps .group:nth-child(2)').querySelectorAll('small')]"
                                   ".map((node) => node.textContent).sort()")
        self.assertEqual(steps, ["1", "2", "3", "4"])

    def test_two_strategies_side_by_side_differ_in_tokens_per_pass(self):
        self.page.set("preset", "static")
        self.page.set("compare", "dynamic")
        self.ask("What is the capital of Chile?")
        self.assertEqual(self.page.texts(".answer .text"), ["The capital of Chile is Santiago."] * 2)
        slow, fast = self.page.evaluate("exchanges[0].answers.map("
                                        "({usage}) => usage.completion_tokens / usage.forward_passes)")
        self.assertGreater(fast, slow)
        self.assertEqual(self.page.texts(".answer > h2"), ["Static, one token a step", "Dynamic, above 0.9"])

    def test_a_tool_is_called_and_its_result_used(self):
        self.page.set("tools", TOOLS)
        self.ask("What is the weather in Lima?")
        self.assertEqual(self.page.text(".call"), "Calls get_weathercityLima")
        self.page.click(".results input")
        self.page.type("sunny, 21 degrees")
        self.page.press("Enter")
        self.page.await_true(f"document.querySelectorAll('.exchange').length === 2 && {IDLE}")
        self.assertIn("Lima", self.page.text(".exchange:last-child .answer .text"))

    def test_a_schema_makes_the_answer_json(self):
        members = {"country": {"type": "string"}, "population_in_millions": {"type": "integer", "maximum": 2000}}
        schema = {"type": "object", "properties": members, "required": list(members), "additionalProperties": False}
        self.page.set("schema", json.dumps(schema))
        answer = json.loads(self.ask("What is the capital of Peru?"))
        self.assertEqual(set(answer), set(members))
        self.assertIsInstance(answer["population_in_millions"], int)
        self.assertRegex(self.page.text(".stats"), r" · \d+ forced by the schema · ")

    def test_a_refusal_names_the_field_and_the_chat_goes_on(self):
        self.page.set("block_length", "3")
        self.ask("What is the capital of Chile?")
        self.assertIn("block_length: expected a divisor", self.page.text(".failure"))
        self.page.set("block_length", "")
        self.assertEqual(self.ask("What is the capital of Peru?"), "The capital of Peru is Lima.")

    def test_the_page_asks_nobody_else_and_breaks_no_policy(self):
        self.ask("What is the capital of Chile?")
        self.assertEqual([url for url in self.page.requests if not url.startswith((self.address, "about:"))], [])
        self.assertEqual(self.page.complaints, [])


if __name__ == "__main__":
    if len(sys.argv) > 1 and sys.argv[1].endswith(".png"):
        take_picture(sys.argv[1])
    else:
        page_test.main()
