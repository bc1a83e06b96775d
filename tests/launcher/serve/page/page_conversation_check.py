# SPDX-License-Identifier: Apache-2.0
"""What the page sends: the conversation stays in order through stops, errors, cleared chats and reloads."""

from page_test import IDLE, PageTest, main
from stub_server import Gate, answer, block, chunk, cut, usage

ALWAYS = {"messages", "stream", "provisional", "stream_options"}


class ConversationTest(PageTest):
    def test_an_answer_is_a_part_of_what_is_asked_next(self):
        self.page.set("system", "Be brief.")
        self.ask("One?")
        self.ask("Two?")
        self.assertEqual(self.stub.questions(),
                         [("system", "Be brief."), ("user", "One?"), ("assistant", "Fine."), ("user", "Two?")])

    def test_settings_are_sent_and_what_is_empty_is_not(self):
        for name, value in {"temperature": "0.5", "top_p": "0.9", "top_k": "7", "seed": "3", "max_tokens": "",
                            "block_length": "8", "preset": "half"}.items():
            self.page.set(name, value)
        self.ask("One?")
        body = self.stub.bodies[-1]
        self.assertEqual({name: value for name, value in body.items() if name not in ALWAYS},
                         {"temperature": 0.5, "top_p": 0.9, "top_k": 7, "seed": 3, "block_length": 8,
                          "remasking_strategy": "low_confidence_static", "denoising_steps": 4})

    def test_a_preset_follows_the_length_of_the_block_until_it_is_changed(self):
        fields = "['preset', 'denoising_steps'].map((name) => setting(name).value)"
        self.page.set("preset", "half")
        self.assertEqual(self.page.evaluate(fields), ["half", "2"])
        self.page.set("block_length", "16")
        self.assertEqual(self.page.evaluate(fields), ["half", "8"])
        self.page.set("denoising_steps", "3")
        self.page.set("block_length", "8")
        self.assertEqual(self.page.evaluate(fields), ["custom", "3"])

    def test_clearing_while_an_answer_runs_leaves_nothing_behind(self):
        gate = Gate()
        self.stub.plan = lambda body: [chunk("Half an"), gate, chunk(" answer", "stop")]
        self.page.ask("One?")
        self.sees("Half an")
        self.listen()
        self.page.click("#clear")
        gate.open()
        self.stub.plan = lambda body: answer("Fresh.")
        self.ask("Two?")
        self.assertEqual(self.stub.questions(), [("user", "Two?")])
        self.assertEqual(self.page.evaluate("announced"),
                         ["A new chat has begun.", "The answer is being written.", "Answer: Fresh."])
        self.ask("Three?")
        self.assertEqual(self.stub.questions(), [("user", "Two?"), ("assistant", "Fresh."), ("user", "Three?")])

    def test_an_error_leaves_no_turn_behind(self):
        self.stub.plan = lambda body: (500, {}, {"message": "the logits were not finite"})
        self.ask("One?")
        self.sees("the logits were not finite", ".failure")
        self.stub.plan = lambda body: answer("Fine.")
        self.ask("Two?")
        self.assertEqual(self.stub.questions(), [("user", "Two?")])

    def test_an_answer_that_breaks_off_is_shown_and_not_repeated_to_the_model(self):
        self.stub.plan = lambda body: [chunk("Half an"), cut]
        self.ask("One?")
        self.sees("Half an")
        self.sees("not part of the conversation", ".failure")
        self.stub.plan = lambda body: answer("Whole.")
        self.page.click(".failure button")
        self.sees("Whole.")
        self.assertEqual(self.page.count(".failure"), 0)
        self.ask("Two?")
        self.assertEqual(self.stub.questions(), [("user", "One?"), ("assistant", "Whole."), ("user", "Two?")])

    def test_escape_stops_and_keeps_what_was_said(self):
        gate = Gate()
        self.addCleanup(gate.open)
        self.stub.plan = lambda body: [chunk("Half an"), gate]
        self.page.ask("One?")
        self.sees("Half an")
        self.page.press("Escape")
        self.page.await_true(IDLE)
        self.sees("stopped", ".stats")
        self.stub.plan = lambda body: answer("Fine.")
        self.ask("Two?")
        self.assertEqual(self.stub.questions(), [("user", "One?"), ("assistant", "Half an"), ("user", "Two?")])

    def test_the_button_stops_before_anything_was_said_and_the_question_is_forgotten(self):
        gate = Gate()
        self.addCleanup(gate.open)
        self.stub.plan = lambda body: [block(0, 0, [("a",), ("b",)]), gate]
        self.page.ask("One?")
        self.page.await_true("document.querySelectorAll('.live .token.masked').length === 2")
        self.page.click("#stop")
        self.page.await_true(IDLE)
        self.assertEqual(self.page.evaluate("document.activeElement.id"), "question")
        self.stub.plan = lambda body: answer("Fine.")
        self.ask("Two?")
        self.assertEqual(self.stub.questions(), [("user", "Two?")])

    def test_enter_while_an_answer_runs_asks_next(self):
        gate = Gate()
        self.stub.plan = lambda body: [chunk("First."), gate, chunk(finish="stop")]
        self.page.ask("One?")
        self.sees("First.")
        self.page.ask("Two?")
        self.sees("Asked next: Two?", "#notice")
        self.assertEqual(self.page.evaluate("$('question').value"), "")
        self.stub.plan = lambda body: answer("Second.")
        gate.open()
        self.sees("Second.", ".exchange:last-child .answer")
        self.assertEqual(self.stub.questions(), [("user", "One?"), ("assistant", "First."), ("user", "Two?")])
        self.assertTrue(self.page.evaluate("$('notice').hidden"))

    def test_a_stop_gives_the_waiting_question_back(self):
        gate = Gate()
        self.addCleanup(gate.open)
        self.stub.plan = lambda body: [chunk("First."), gate]
        self.page.ask("One?")
        self.sees("First.")
        self.page.ask("Two?")
        self.page.type("And")
        self.page.press("Escape")
        self.page.await_true(f"{IDLE} && $('question').value === 'Two?\\nAnd'")
        self.assertEqual(len(self.stub.bodies), 1)

    def test_settings_that_became_wrong_give_the_waiting_question_back(self):
        gate = Gate()
        self.stub.plan = lambda body: [chunk("First."), gate, chunk(finish="stop")]
        self.page.ask("One?")
        self.sees("First.")
        self.page.ask("Two?")
        self.page.set("tools", "[{")
        gate.open()
        self.page.await_true(f"{IDLE} && $('question').value === 'Two?'")
        self.assertEqual(len(self.stub.bodies), 1)

    def test_a_question_is_edited_and_what_followed_goes(self):
        for text in ("One?", "Two?", "Three?"):
            self.ask(text)
        self.page.click(".exchange:nth-child(2) [aria-label='Edit the question']")
        self.page.type(" Really")  # behind what stands there
        self.page.press("Enter")
        self.page.await_true(f"document.querySelectorAll('.exchange').length === 2 && {IDLE}")
        self.assertEqual(self.stub.questions(), [("user", "One?"), ("assistant", "Fine."), ("user", "Two? Really")])

    def test_an_answer_is_regenerated(self):
        self.ask("One?")
        self.stub.plan = lambda body: answer("Better.")
        self.page.evaluate("document.querySelector('.foot .last').click()")
        self.sees("Better.")
        self.assertEqual(self.stub.questions(), [("user", "One?")])
        self.assertEqual(self.said(), ["Better."])

    def test_a_cleared_chat_comes_back(self):
        self.ask("One?")
        self.page.click("#clear")
        self.assertEqual(self.page.count(".exchange"), 0)
        self.page.click("#notice button")
        self.ask("Two?")
        self.assertEqual(self.stub.questions()[0], ("user", "One?"))

    def test_two_strategies_answer_the_same_question_and_one_goes_on(self):
        self.stub.plan = lambda body: [chunk(body.get("remasking_strategy", "none"), "stop"),
                                       usage(8, body.get("denoising_steps", 1))]
        self.page.set("temperature", "0")
        self.page.set("preset", "sequential")
        self.page.set("compare", "half")
        self.ask("One?")
        self.assertEqual(self.said(), ["sequential", "low_confidence_static"])
        self.assertEqual([body["messages"] for body in self.stub.bodies], [[{"role": "user", "content": "One?"}]] * 2)
        stats = self.page.texts(".answer .stats")
        self.assertIn("2.00 tokens per pass", stats[0])
        self.assertIn("4.00 tokens per pass", stats[1])
        self.assertTrue(all(" s" in text for text in stats))
        self.page.click(".answer:nth-child(2) input[type=radio]")
        self.page.set("compare", "")
        self.ask("Two?")
        self.assertEqual(self.stub.questions()[1], ("assistant", "low_confidence_static"))

    def test_of_two_answers_the_faster_is_done_before_the_other(self):
        gate = Gate()
        self.stub.plan = lambda body: [chunk("Fast.", "stop")] if "denoising_steps" in body else [chunk("Slow"), gate]
        self.page.set("compare", "half")
        self.page.ask("One?")
        self.page.await_true("document.querySelectorAll('.stats').length === 1 && running !== null")
        self.assertEqual(self.page.count(".progress"), 1)
        gate.open()
        self.page.await_true(IDLE)
        self.assertEqual(self.page.count(".stats"), 2)

    def test_of_two_answers_the_one_that_came_goes_on(self):
        refused = (500, {}, {"message": "no"})
        self.stub.plan = lambda body: answer("Here.") if "denoising_steps" in body else refused
        self.page.set("compare", "half")
        self.ask("One?")
        self.ask("Two?")
        self.assertEqual(self.stub.questions(), [("user", "One?"), ("assistant", "Here."), ("user", "Two?")])

    def test_a_call_of_a_tool_is_readable_and_takes_its_result(self):
        function = {"name": "get_weather", "arguments": '{"city":"Lima"}'}
        call = {"index": 0, "id": "call-1", "type": "function", "function": function}
        tools = '[{"type": "function", "function": {"name": "get_weather"}}]'
        self.stub.plan = lambda body: [chunk(tool_calls=[call]), chunk(finish="tool_calls")]
        self.page.set("tools", tools)
        self.ask("Weather?")
        self.assertEqual(self.stub.bodies[-1]["tools"][0]["function"]["name"], "get_weather")
        self.assertEqual(self.page.text(".call"), "Calls get_weathercityLima")
        self.stub.plan = lambda body: answer("Sunny.")
        self.page.click(".results input")
        self.page.type("sunny, 21")
        self.page.press("Enter")
        self.sees("Sunny.")
        messages = self.stub.bodies[-1]["messages"]
        self.assertEqual([message["role"] for message in messages], ["user", "assistant", "tool"])
        self.assertEqual(messages[1]["tool_calls"][0]["function"], call["function"])
        self.assertEqual(messages[2], {"role": "tool", "tool_call_id": "call-1", "content": "sunny, 21"})

    def test_tools_that_are_no_json_are_not_sent(self):
        self.page.set("tools", "[{")
        self.page.ask("Weather?")
        self.page.await_true("document.activeElement.name === 'tools'")
        self.assertEqual((self.stub.bodies, self.page.evaluate("$('question').value")), ([], "Weather?"))

    def test_a_schema_that_is_none_is_not_sent(self):
        for wrong in ("{", "[]"):
            self.page.set("schema", wrong)
            self.page.ask("Weather?")
            self.page.await_true("document.activeElement.name === 'schema'")
            self.assertEqual((self.stub.bodies, self.page.evaluate("$('question').value")), ([], "Weather?"))
            self.page.evaluate("$('question').value = ''")

    def test_a_schema_is_sent_as_the_format_of_the_answer(self):
        self.page.set("schema", '{"type": "object"}')
        self.ask("Weather?")
        self.assertEqual(self.stub.bodies[-1]["response_format"],
                         {"type": "json_schema", "json_schema": {"name": "answer", "schema": {"type": "object"}}})


if __name__ == "__main__":
    main()
