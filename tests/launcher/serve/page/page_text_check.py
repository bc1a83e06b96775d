# SPDX-License-Identifier: Apache-2.0
"""Markdown of an answer becomes what it means, and nothing that a model writes becomes more than that."""

import json

from page_test import PageTest, main
from stub_server import answer, block, chunk, usage

HOSTILE = ["<img src=x onerror='window.caught = 1'>", "<script>window.caught = 1</script>",
           "[x](javascript:window.caught=1)",
           "[x](JAVASCRIPT:alert)", "[x](data:text/html,hello)", "[x](//other.example)", "[x](/v1/models)",
           "# <b onclick=x>", "```<img src=x onerror=x>\n<script>1</script>\n```",
           "| <img src=x> | b |\n|---|---|\n| <svg onload=x> | c |",
           "- <iframe src=/>", "`<img src=x>`", "**<img src=x>**", "> <form action=/>"]
# Ends of what a reader of Markdown may take quadratic time for.
LONG = ["*" * 50000, "`" * 50000, "` `` " * 20000, "[" * 50000, "[a](" * 20000, "> " * 30000, "- " * 30000,
        "**a *b " * 15000,
        "_a " * 30000, "|" * 50000 + "\n" + "|-" * 20000, "http://" * 10000,
        "**" + "`a` " * 49000, "- **" + "`a` " * 49000, "\n".join(" " * i + "- x" for i in range(300)),
        "x\n" * 50000, "1. x\n\n" * 20000, "```\n" * 30001, " " * 100000 + "x", "\\*" * 50000, "x" * 300000]


class TextTest(PageTest):
    def show(self, text, selector=".answer .text"):
        """What is made of an answer, as HTML without what only looks."""
        self.stub.plan = lambda body: answer(text)
        self.page.click("#clear")
        self.ask("Go")
        return self.page.evaluate(f"document.querySelector({selector!r}).innerHTML")

    def test_paragraphs_and_emphasis(self):
        self.assertEqual(self.show("One *two* **three _four_**\nfive `a*b*`.\n\nsix snake_case_name 2 * 3 * 4"),
                         "<p>One <em>two</em> <strong>three <em>four</em></strong><br>five <code>a*b*</code>.</p>"
                         "<p>six snake_case_name 2 * 3 * 4</p>")

    def test_spans_of_code_end_at_the_next_mark_of_their_length(self):
        self.assertEqual(self.show("`a` b `` c`d `` `e`"),
                         "<p><code>a</code> b <code>c`d</code> <code>e</code></p>")

    def test_what_is_not_closed_stays_a_mark(self):
        self.assertEqual(self.show("a **b *c* and `d"), "<p>a **b <em>c</em> and `d</p>")

    def test_three_marks_are_both_emphases(self):
        self.assertEqual(self.show("***a*** ***b* c**"),
                         "<p><strong><em>a</em></strong> <strong><em>b</em> c</strong></p>")

    def test_headings_rules_and_quotes(self):
        self.assertEqual(self.show("# One\n## Two\n---\n> said\n> twice"),
                         "<h3>One</h3><h4>Two</h4><hr><blockquote><p>said<br>twice</p></blockquote>")

    def test_lists_within_lists(self):
        self.assertEqual(self.show("3. One\n   - two\n   - three\n4. Four\n\nAfter"),
                         '<ol start="3"><li>One<ul><li>two</li><li>three</li></ul></li><li>Four</li></ol><p>After</p>')

    def test_tables(self):
        self.assertEqual(self.show("| a | b |\n|:--|--:|\n| 1 | **2** |"),
                         "<table><thead><tr><th>a</th><th>b</th></tr></thead>"
                         "<tbody><tr><td>1</td><td><strong>2</strong></td></tr></tbody></table>")

    def test_code_keeps_its_marks_and_is_copied(self):
        self.show("```python\nif a < b:\n    *c*\n```")
        self.assertEqual(self.page.text(".code pre"), "if a < b:\n    *c*")
        self.page.call("Browser.grantPermissions", permissions=["clipboardReadWrite", "clipboardSanitizedWrite"])
        self.page.click(".code button")
        self.page.await_true("document.querySelector('.code button').textContent === 'Copied'")
        self.assertEqual(self.page.evaluate("navigator.clipboard.readText()"), "if a < b:\n    *c*")

    def test_copying_works_without_a_clipboard_of_the_browser(self):
        self.page.evaluate("Object.defineProperty(navigator, 'clipboard', {value: undefined}); 0")
        self.show("Plain *text*.")
        self.page.click("[aria-label='Copy the answer']")
        self.page.await_true("document.querySelector(\"[aria-label='Copy the answer']\").textContent === 'Copied'")
        self.page.evaluate("$('question').focus()")
        self.page.call("Input.dispatchKeyEvent", type="rawKeyDown", key="v", commands=["paste"])
        self.assertEqual(self.page.evaluate("$('question').value"), "Plain *text*.")

    def test_code_that_is_still_being_written_is_code(self):
        self.assertIn("<code>a\nb</code>", self.show("```\na\nb"))

    def test_links_lead_out_only_over_http(self):
        html = self.show("[here](https://example.org/a_b) and http://example.org/x, "
                         "[no](ftp://example.org) [no](javascript:x)")
        self.assertEqual(html.count("<a "), 2)
        self.assertEqual(html.count('rel="noopener noreferrer"'), 2)
        self.assertIn('href="http://example.org/x"', html)
        self.assertIn("[no](ftp://example.org) [no](javascript:x)", html)

    def test_hostile_text_is_text(self):
        for text in HOSTILE:
            with self.subTest(text):
                self.show(text)
                self.assertEqual(self.page.count("main :is(img, script, svg, iframe, b, a, form)"), 0)
                self.assertIsNone(self.page.evaluate("window.caught ?? null"))

    def test_hostile_text_is_text_elsewhere_too(self):
        image = "<img src=x onerror='window.caught = 1'>"
        call = {"id": image, "function": {"name": image, "arguments": f'{{"{image}": "{image}"}}'}}
        self.stub.model = image
        self.page.open(self.stub.address)
        self.stub.plan = lambda body: [block(0, 0, [image, (image,)]),
                                       chunk(reasoning_content=image, tool_calls=[call]), usage(2, 1)]
        self.page.set("system", image)
        self.ask(image)
        self.open_steps()
        self.stub.plan = lambda body: (400, {}, {"message": image})
        self.ask(image)
        self.assertEqual(self.page.count("img"), 0)
        self.assertIsNone(self.page.evaluate("window.caught ?? null"))

    def test_no_text_takes_long(self):
        for text in LONG:
            with self.subTest(text[:20]):
                # A quadratic reader takes minutes for these, this one tens of milliseconds.
                taken = self.page.evaluate("(() => { const begin = performance.now(); "
                                           f"markdown({json.dumps(text)}); return performance.now() - begin; }})()")
                self.assertLess(taken, 5000)

    def test_nesting_ends(self):
        self.show("> " * 3000 + "deep")
        deepest = self.page.evaluate("Math.max(...[...document.querySelectorAll('.text *')].map("
                                     "(node) => { let depth = 0; for (; node; node = node.parentElement) ++depth;"
                                     " return depth; }))")
        self.assertLess(deepest, 40)


if __name__ == "__main__":
    main()
