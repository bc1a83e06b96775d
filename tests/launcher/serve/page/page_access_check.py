# SPDX-License-Identifier: Apache-2.0
"""The page by keyboard, by ear, on a phone and in the dark."""

from page_test import IDLE, PageTest, main
from stub_server import Gate, answer, block, chunk, usage

WIDTHS = {375: 667, 800: 800, 1280: 800}
CONTROLS = {"button", "textbox", "combobox", "spinbutton", "slider", "radio", "checkbox", "searchbox", "link",
            "DisclosureTriangle"}
LONG = "\n\n".join(["# Title", "word " * 80, "```\n" + "code " * 80 + "\n```",
                    "| a | b |\n|---|---|\n| " + "wide " * 60 + "| c |", "x" * 400])
# Of the colour that text has where it stands, over the first background below it: WCAG's formula.
CONTRASTS = """(() => {
  const channels = (color) => color.match(/[\\d.]+/g).map(Number);
  const light = (color) => channels(color).slice(0, 3).map((c) => c / 255)
      .map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
      .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (node) => {
    for (; node; node = node.parentElement) {
      const color = getComputedStyle(node).backgroundColor;
      if ((channels(color)[3] ?? 1) === 1) return color;
    }
    return "rgb(255, 255, 255)";
  };
  const selectors = ["h1", "#about", "#hint", "#send", ".asked > div", ".answer p", ".stats", "#settings label",
                     ".foot button"];
  return selectors.map((selector) => {
    const node = document.querySelector(selector);
    const [a, b] = [light(getComputedStyle(node).color), light(ground(node))];
    return [selector, (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)];
  });
})()"""


class AccessTest(PageTest):
    def fill(self):
        """One of everything that the page can show."""
        call = {"id": "call-1", "function": {"name": "add", "arguments": '{"a": 1}'}}
        plans = iter([[block(0, 0, ["a", ("b",)]), block(0, 1, ["a", "b"]),
                       chunk(LONG, "stop", reasoning_content="hm"), usage(2, 2)],
                      [chunk(tool_calls=[call]), chunk(finish="tool_calls")]])
        self.stub.plan = lambda body: next(plans, (401, {}, {"message": "no key"}))
        self.ask("Everything?")
        self.page.evaluate("document.querySelectorAll('.steps summary').forEach((node) => node.click())")
        self.ask("A tool?")
        self.page.set("compare", "half")
        self.ask("Two?")
        self.page.set("compare", "")

    def unnamed(self):
        nodes = self.page.call("Accessibility.getFullAXTree")["nodes"]
        controls = [node for node in nodes if not node.get("ignored") and node["role"]["value"] in CONTROLS]
        self.assertGreater(len(controls), 20)
        return [node for node in controls if not node.get("name", {}).get("value", "").strip()]

    def test_every_control_has_a_name(self):
        self.fill()
        self.page.evaluate("fold(true)")
        self.assertEqual(self.unnamed(), [])

    def test_regions_have_names_and_the_document_a_language(self):
        roles = {(node["role"]["value"], node.get("name", {}).get("value"))
                 for node in self.page.call("Accessibility.getFullAXTree")["nodes"] if not node.get("ignored")}
        self.assertLessEqual({("form", "Question"), ("form", "Settings"), ("main", "Conversation")}, roles)
        self.assertEqual(self.page.evaluate("document.documentElement.lang"), "en")

    def test_the_question_comes_first(self):
        focused = "document.activeElement.id || document.activeElement.name || document.activeElement.tagName"
        order = [self.page.evaluate(focused)]
        for _ in range(5):
            self.page.press("Tab")
            order.append(self.page.evaluate(focused))
        self.assertEqual(order, ["question", "send", "clear", "fold", "system", "preset"])
        for _ in order:
            self.page.press("Tab", shift=True)
        self.assertEqual(self.page.evaluate(focused), "BODY", "something comes before the question")

    def test_focus_is_seen(self):
        self.page.evaluate("document.activeElement.blur()")
        for _ in range(5):
            self.page.press("Tab")
            style = self.page.evaluate("[getComputedStyle(document.activeElement).outlineStyle,"
                                       " parseFloat(getComputedStyle(document.activeElement).outlineWidth)]")
            self.assertEqual(style, ["solid", 2])

    def test_an_answer_is_announced_once_and_not_by_every_token(self):
        self.listen()
        self.stub.plan = lambda body: [*(chunk(f"word{i} ") for i in range(100)), chunk(finish="stop")]
        self.ask("One?")
        announced = self.page.evaluate("announced")
        self.assertEqual(len(announced), 2, announced)
        self.assertIn("word99", announced[1])
        live = self.page.evaluate("[...document.querySelectorAll("
                                  "'[aria-live], [role=status], [role=alert], [role=log]')]"
                                  ".map((node) => node.id)")
        self.assertEqual(live, ["notice", "announce"])

    def test_nothing_scrolls_sideways_at_any_width(self):
        self.fill()
        for width, height in WIDTHS.items():
            self.page.resize(width, height)
            for is_open in ("false", "true"):
                with self.subTest(width=width, open=is_open):
                    self.page.evaluate(f"fold({is_open})")
                    self.assertEqual(self.page.evaluate(
                        "[document.documentElement, document.body, $('turns'), $('settings')]"
                        ".filter((node) => node.scrollWidth > node.clientWidth)"
                        ".map((node) => node.id || node.tagName)"), [])
                    self.assertEqual(self.page.evaluate("document.documentElement.scrollHeight"), height)
        pre = "document.querySelector('.code pre')"
        self.assertEqual(self.page.evaluate(f"({pre}.scrollLeft = 50, {pre}.scrollLeft)"), 50, "code scrolls by itself")

    def test_the_question_is_in_sight_at_any_width(self):
        for width, height in WIDTHS.items():
            self.page.open(self.stub.address, width, height)
            box = self.page.evaluate("(({left, right, top, bottom}) => [left, right, top, bottom])"
                                     "($('question').getBoundingClientRect())")
            self.assertTrue(0 <= box[0] < box[1] <= width and 0 <= box[2] < box[3] <= height, (width, box))

    def test_a_phone_shows_the_chat_and_settings_on_demand(self):
        self.page.open(self.stub.address, 375, 667)
        self.assertTrue(self.page.evaluate("$('settings').hidden"))
        self.assertGreater(self.page.evaluate("$('turns').clientHeight"), 667 * 0.7)
        self.page.click("#fold")
        self.assertEqual(self.page.evaluate("[$('settings').hidden, $('fold').ariaExpanded]"), [False, "true"])
        self.page.press("Escape")
        self.assertEqual(self.page.evaluate("[$('settings').hidden, $('fold').ariaExpanded]"), [True, "false"])

    def test_light_and_dark_can_both_be_read(self):
        self.ask("One?")
        grounds = set()
        for scheme in ("light", "dark"):
            self.page.prefer(prefers_color_scheme=scheme)
            grounds.add(self.page.evaluate("getComputedStyle(document.body).backgroundColor"))
            for selector, contrast in self.page.evaluate(CONTRASTS):
                with self.subTest(scheme=scheme, selector=selector):
                    self.assertGreaterEqual(contrast, 4.5)
        self.assertEqual(len(grounds), 2)

    def test_nothing_moves_for_who_wants_it_still(self):
        self.stub.plan = lambda body: [block(0, 0, ["a"]), chunk("a", "stop"), usage(1, 1)]
        self.ask("One?")
        self.open_steps()
        durations = "getComputedStyle(document.querySelector('.steps .token')).transitionDuration"
        self.assertNotEqual(self.page.evaluate(durations), "0s")
        self.page.prefer(prefers_reduced_motion="reduce")
        self.assertEqual(self.page.evaluate(durations), "0s")

    def test_shift_enter_breaks_the_line(self):
        self.page.ask("")
        self.page.type("One")
        self.page.press("Enter", shift=True)
        self.page.type("two?")
        self.page.press("Enter")
        self.page.await_true(f"{IDLE} && document.querySelectorAll('.exchange').length === 1")
        self.assertEqual(self.stub.questions(), [("user", "One\ntwo?")])

    def test_the_focus_stays_with_the_question(self):
        gate = Gate()
        self.stub.plan = lambda body: [chunk("a"), gate, chunk(finish="stop")]
        self.page.ask("One?")
        self.page.await_true("!$('stop').hidden")
        self.page.press("Tab")
        self.page.press("Tab")
        self.assertEqual(self.page.evaluate("document.activeElement.id"), "stop")
        gate.open()
        self.page.await_true(IDLE)
        self.assertEqual(self.page.evaluate("document.activeElement.id"), "question")


class StepsTest(PageTest):
    """The line below an answer that shows which step revealed each token."""

    def setUp(self):
        super().setUp()
        self.stub.plan = lambda body: [
            block(0, 0, ["A", (" x",), (" y",), " d"]), block(0, 1, ["A", (" b",), " c", " d"]),
            block(0, 2, ["A", " b", " c", " d"]), block(1, 0, [".", "<|im_end|>"]), *answer("A b c d."), usage(5, 4)]
        self.ask("One?")
        self.open_steps()

    def revealed(self):
        return self.page.evaluate("[...document.querySelectorAll('.steps .token:not(.masked)')]"
                                  ".map((node) => node.firstChild.textContent).join('')")

    def set_step(self, step):
        self.page.evaluate(f"(() => {{ const range = document.querySelector('.player input'); range.value = {step};"
                           "range.dispatchEvent(new Event('input')); })()")

    def test_each_token_has_the_step_that_revealed_it(self):
        self.assertEqual(self.page.texts(".steps .token small"), ["1", "3", "2", "1", "1"])
        self.assertEqual(self.page.text(".player output"), "step 4 of 4")

    def test_the_line_goes_back_to_any_step(self):
        seen = []
        for step in range(5):
            self.set_step(step)
            seen.append(self.revealed())
        self.assertEqual(seen, ["", "A d", "A c d", "A b c d", "A b c d."])

    def test_the_keyboard_moves_it(self):
        self.page.evaluate("document.querySelector('.player input').focus()")
        self.page.press("ArrowLeft")
        self.assertEqual(self.revealed(), "A b c d")
        self.assertEqual(self.page.evaluate("document.querySelector('.player input').ariaValueText"),
                         "step 3 of 4, 4 of 5 tokens")

    def test_it_is_played_again_from_the_beginning(self):
        self.page.evaluate("""window.played = [];
            new MutationObserver(() => played.push(document.querySelector('.player output').textContent))
                .observe(document.querySelector('.player output'), {childList: true}); 0""")
        self.page.click(".player button")
        self.page.await_true("played.length >= 5 && document.querySelector('.player button').textContent === 'Play'")
        self.assertEqual(self.page.evaluate("played"), [f"step {step} of 4" for step in range(5)])

    def test_it_is_there_after_a_reload(self):
        self.page.open(self.stub.address)
        self.open_steps()
        self.assertEqual(self.page.texts(".steps .token small"), ["1", "3", "2", "1", "1"])


if __name__ == "__main__":
    main()
