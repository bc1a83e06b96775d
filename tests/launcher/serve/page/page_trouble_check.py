# SPDX-License-Identifier: Apache-2.0
"""The page when the server is away, refuses, or is late; and what it keeps over a reload."""

import json

from page_test import IDLE, PageTest, main
from stub_server import Gate, answer, chunk

GARBAGE = ["{", "null", "7", '"text"', '{"exchanges": 3, "settings": []}',
           '{"exchanges": [null, {}, {"asked": [{"role": "user", "content": "x"}], "answers": [{"state": "none"}]}]}',
           '{"exchanges": [{"asked": [{"role": "system"}], "answers": [{"state": "done"}]}]}',
           '{"settings": {"preset": "nonsense"}}',
           '{"exchanges": [{"asked": "x", "answers": {}}], "settings": {"temperature": "hot", "max_tokens": {}}}']


class TroubleTest(PageTest):
    def test_a_server_that_is_away_is_named_and_the_retry_works(self):
        self.stub.stop()
        self.ask("One?")
        self.sees(f"The server at 127.0.0.1:{self.stub.port} does not answer.", ".failure")
        self.sees("does not answer", "#about")
        self.stub.start()
        self.page.click(".failure button")
        self.page.await_true(f"{IDLE} && document.querySelector('.answer .text')?.textContent === 'Fine.'")
        self.assertEqual(self.stub.questions(), [("user", "One?")])
        self.page.await_true("!$('about').classList.contains('trouble')")

    def test_a_missing_key_is_asked_for(self):
        refused = (401, {}, {"message": "no key"})
        self.stub.plan = lambda body: answer("In.") if self.stub.keys[-1] == "Bearer sesame" else refused
        self.ask("One?")
        self.sees("The server wants an API key", ".failure")
        for key, answered in {"barley": "does not know this API key", "sésame": "has no such characters",
                              "sesame": "In."}.items():
            self.page.click(".failure input")
            self.page.type(key)
            self.page.press("Enter")
            self.sees(answered, ".answer")
        self.assertNotIn("sesame", self.page.evaluate("JSON.stringify(localStorage)"))

    def test_a_busy_server_is_asked_again_after_its_delay(self):
        self.stub.plan = lambda body: (429, {"Retry-After": "1"}, {"message": "64 requests wait"})
        self.ask("One?")
        self.sees("The server is busy: 64 requests wait.", ".failure")
        self.sees("Try again in 1 s", ".failure")
        self.stub.plan = lambda body: answer("Now.")
        self.page.await_true("!document.querySelector('.failure button').disabled")
        self.page.click(".failure button")
        self.sees("Now.")

    def test_a_server_that_loads_says_so(self):
        self.stub.plan = lambda body: (503, {"Retry-After": "60"}, {"message": "the model is loading"})
        self.ask("One?")
        self.sees("The server is not ready: the model is loading.", ".failure")
        self.sees("Try again in", ".failure")
        self.assertTrue(self.page.evaluate("document.querySelector('.failure button').disabled"))

    def test_an_error_within_a_stream_is_a_message(self):
        self.stub.plan = lambda body: [chunk("Half"), {"error": {"message": "a rank was lost"}}]
        self.ask("One?")
        self.sees("a rank was lost", ".failure")

    def test_an_event_of_another_shape_does_no_harm(self):
        for event in (7, "text", {"choices": 3}, {"choices": [{}]}, {"provisional": {"positions": "x"}}, {"usage": []}):
            self.stub.plan = lambda body, event=event: [event, chunk("Still here.", "stop")]
            self.ask("One?")
            self.assertEqual(self.said()[-1], "Still here.")

    def test_a_setting_out_of_range_is_not_sent(self):
        self.page.set("top_p", "2")
        self.page.ask("One?")
        self.page.await_true("document.activeElement.name === 'top_p'")
        self.assertEqual(self.stub.bodies, [])


class ReloadTest(PageTest):
    def reload(self):
        self.page.open(self.stub.address)

    def test_a_reload_keeps_the_chat_and_the_settings(self):
        self.page.set("system", "Be brief.")
        self.page.set("temperature", "0.7")
        self.ask("One?")
        self.reload()
        self.assertEqual(self.said(), ["Fine."])
        self.ask("Two?")
        self.assertEqual(self.stub.questions(),
                         [("system", "Be brief."), ("user", "One?"), ("assistant", "Fine."), ("user", "Two?")])
        self.assertEqual(self.stub.bodies[-1]["temperature"], 0.7)

    def test_a_reload_in_the_midst_of_an_answer_keeps_what_was_said(self):
        gate = Gate()
        self.addCleanup(gate.open)
        self.stub.plan = lambda body: [chunk("Half an"), gate]
        self.page.ask("One?")
        self.sees("Half an")
        self.reload()
        self.stub.plan = lambda body: answer("Fine.")
        self.ask("Two?")
        self.assertEqual(self.stub.questions(), [("user", "One?"), ("assistant", "Half an"), ("user", "Two?")])

    def test_garbage_in_the_storage_is_no_chat(self):
        for garbage in GARBAGE:
            with self.subTest(garbage):
                # The page saves when it is left; what is tried comes before its script.
                source = f"localStorage.setItem('sdar-chat', {json.dumps(garbage)})"
                script = self.page.call("Page.addScriptToEvaluateOnNewDocument", source=source)["identifier"]
                self.reload()
                self.page.call("Page.removeScriptToEvaluateOnNewDocument", identifier=script)
                self.assertEqual(self.page.count(".exchange"), 0)
                self.ask("One?")
                self.assertEqual(self.said(), ["Fine."])
                self.page.click("#clear")

    def test_what_is_kept_has_a_limit_and_the_newest_stays(self):
        self.stub.plan = lambda body: answer("x" * 200000)
        for number in range(7):
            self.ask(f"Question {number}?")
        self.reload()
        asked = self.page.texts(".asked > div")
        self.assertIn("Question 6?", asked[-1])
        self.assertLess(len(asked), 7)
        self.assertLess(self.page.evaluate("localStorage.getItem('sdar-chat').length"), 1 << 21)


if __name__ == "__main__":
    main()
