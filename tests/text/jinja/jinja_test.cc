// SPDX-License-Identifier: Apache-2.0
// What chat templates mean, construct by construct. Expected texts are those of jinja2 3.1 with
// trim_blocks and lstrip_blocks.
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "runtime/text/chat_template.h"
#include "tests/status_matchers.h"

namespace sdar {
namespace {

using ::testing::HasSubstr;
constexpr auto kInvalidTemplate = absl::StatusCode::kInvalidArgument;

absl::StatusOr<std::string> TryRender(const std::string& source, const JinjaLimits& limits = {}) {
  auto chat_template = ChatTemplate::Parse(source);
  if (!chat_template.ok()) return chat_template.status();
  ChatRequest request;
  request.messages = {{{"role", "system"}, {"content", "Sys"}},
                      {{"role", "user"}, {"content", "Hi"}},
                      {{"role", "assistant"}, {"content", "Yo"}, {"n", 3}}};
  return chat_template->Render(request, limits);
}

std::string Render(const std::string& source) {
  const auto prompt = TryRender(source);
  return prompt.ok() ? *prompt : "ERROR " + std::string(prompt.status().message());
}

TEST(JinjaWhitespaceTest, BlocksTakeTheirIndentationAndLineBreak) {
  EXPECT_EQ(Render("  {% if true %}\n  a\n  {% endif %}\n  end\n"), "  a\n  end");
}

TEST(JinjaWhitespaceTest, MinusStripsAllWhiteSpace) {
  EXPECT_EQ(Render("x \n {%- if true -%} \n a \n {%- endif -%} \n y"), "xay");
  EXPECT_EQ(Render("x \n {{- 'a' -}} \n y"), "xay");
}

TEST(JinjaWhitespaceTest, PlusKeepsIndentationAndLineBreak) {
  EXPECT_EQ(Render("  {%+ if true +%}\na{% endif %}"), "  \na");
}

TEST(JinjaWhitespaceTest, OutputKeepsWhatSurroundsIt) {
  EXPECT_EQ(Render("  {{ 'a' }}\n  b"), "  a\n  b");
}

TEST(JinjaWhitespaceTest, CommentsVanishWithTheirLine) {
  EXPECT_EQ(Render("a\n  {# c #}\nb {#- d -#} e"), "a\nbe");
}

TEST(JinjaWhitespaceTest, OneFinalLineBreakIsDropped) {
  EXPECT_EQ(Render("a\n\n"), "a\n");
  EXPECT_EQ(Render("a\r\nb\r"), "a\nb");
}

TEST(JinjaWhitespaceTest, RawTextIsLeftAlone) {
  EXPECT_EQ(Render("{% raw %}{{ x }}{% endif %}{% endraw %}y"), "{{ x }}{% endif %}y");
}

TEST(JinjaExpressionTest, PrecedenceIsThatOfJinja) {
  EXPECT_EQ(Render("{{ 1 + 2 * 3 }},{{ 10 - 2 - 3 }},{{ 'a' ~ 1 + 2 if false else not 1 in [2] }}"),
            "7,5,True");
  EXPECT_EQ(Render("{{ messages|length - 1 }},{{ -1|abs }},{{ 1 < 2 < 3 }},{{ 1 < 3 < 2 }}"),
            "2,1,True,False");
}

TEST(JinjaExpressionTest, DivisionRoundsDown) {
  EXPECT_EQ(Render("{{ -7 // 2 }},{{ -7 % 3 }},{{ 7 / 2 }},{{ 6 / 2 }}"), "-4,2,3.5,3.0");
}

TEST(JinjaExpressionTest, IntegersDoNotWrapAround) {
  EXPECT_THAT(TryRender("{{ 9223372036854775807 + 1 }}"),
              StatusIs(kInvalidTemplate, HasSubstr("64 bits")));
}

TEST(JinjaExpressionTest, SlicesCountFromBothEndsAndStep) {
  EXPECT_EQ(Render("{{ 'abcdef'[::-2] }},{{ 'h\u00e9llo'[1:-1] }},{{ [1,2,3][-5:2] }},{{ "
                   "messages[::-1][0].role }},{{ [1,2,3,4,5][4:0:-2] }}"),
            "fdb,\u00e9ll,[1, 2],assistant,[5, 3]");
}

TEST(JinjaExpressionTest, ValuesPrintAsInPython) {
  EXPECT_EQ(Render("{{ none }},{{ true }},{{ 1.0 }},{{ 1e16 }},{{ 0.1 }},{{ (1,) }},{{ ['a\\n', "
                   "\"it's\", none] }},{{ {'a': {}} }}"),
            "None,True,1.0,1e+16,0.1,(1,),['a\\n', \"it's\", None],{'a': {}}");
}

TEST(JinjaExpressionTest, StringEscapesAreResolved) {
  EXPECT_EQ(Render(R"({{ "a\tb\\n\x41\u00e9\q\"" ~ 'c' 'd' }})"), "a\tb\\nA\u00e9\\q\"cd");
}

TEST(JinjaUndefinedTest, PrintsAsNothingAndIsFalse) {
  EXPECT_EQ(Render("[{{ x }}{{ x ~ 'a' }}{{ x is defined }}{{ x or 'b' }}{{ x|length }}]"),
            "[aFalseb0]");
}

TEST(JinjaUndefinedTest, AttributeOfUndefinedIsAnError) {
  EXPECT_THAT(TryRender("\n{{ x.y }}"),
              StatusIs(kInvalidTemplate, HasSubstr("line 2: 'x' is undefined")));
  EXPECT_THAT(TryRender("{{ messages[9].role }}"),
              StatusIs(kInvalidTemplate, HasSubstr("no element 9")));
  EXPECT_THAT(TryRender("{{ messages[0].a.b }}"),
              StatusIs(kInvalidTemplate, HasSubstr("attribute 'a'")));
  EXPECT_THAT(TryRender("{{ 'a' + x }}"),
              StatusIs(kInvalidTemplate, HasSubstr("'x' is undefined")));
}

TEST(JinjaForTest, LoopVariablesCount) {
  EXPECT_EQ(Render("{% for m in messages %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}"
                   "{{ loop.length }}{{ loop.first }}{{ loop.last }}"
                   "{{ loop.previtem.role if not loop.first }};{% endfor %}"),
            "1033TrueFalse;2123FalseFalsesystem;3213FalseTrueuser;");
}

TEST(JinjaForTest, FilteredItemsAreNotCounted) {
  EXPECT_EQ(Render("{% for m in messages if m.role != 'user' %}{{ loop.index }}{{ m.role }} "
                   "{% endfor %}"),
            "1system 2assistant ");
}

TEST(JinjaForTest, ElseRunsWhenNothingIsWalked) {
  EXPECT_EQ(Render("{% for m in [] %}a{% else %}b{% endfor %}"), "b");
}

TEST(JinjaForTest, TuplesAreUnpacked) {
  EXPECT_EQ(Render("{% for k, v in {'a': 1, 'b': 2}.items() %}{{ k }}{{ v }}{% endfor %}"), "a1b2");
}

TEST(JinjaForTest, BreakAndContinueLeaveTheInnermostLoop) {
  EXPECT_EQ(Render("{% for i in range(5) %}{% if i == 1 %}{% continue %}{% endif %}"
                   "{% if i == 3 %}{% break %}{% endif %}{{ i }}{% endfor %}"),
            "02");
}

TEST(JinjaSetTest, AssignmentsInALoopDoNotLeaveIt) {
  EXPECT_EQ(Render("{% set x = 1 %}{% for i in [1] %}{% set x = 2 %}{% endfor %}{{ x }}"), "1");
  EXPECT_EQ(Render("{% set x = 1 %}{% if true %}{% set x = 2 %}{% endif %}{{ x }}"), "2");
}

TEST(JinjaSetTest, NamespacesCarryValuesOutOfLoops) {
  EXPECT_EQ(Render("{% set ns = namespace(n=0) %}{% for i in range(4) %}{% set ns.n = ns.n + i %}"
                   "{% endfor %}{{ ns.n }}"),
            "6");
}

TEST(JinjaSetTest, BlocksCaptureText) {
  EXPECT_EQ(Render("{% set x | upper %}a{{ 1 }}{% endset %}[{{ x }}]"), "[A1]");
}

TEST(JinjaMacroTest, ArgumentsBindByPositionNameAndDefault) {
  EXPECT_EQ(Render("{% macro f(a, b='d') %}<{{ a }}{{ b }}>{% endmacro %}{{ f(1) }}{{ f(b=2, a=3) "
                   "}}{{ f() }}"),
            "<1d><32><d>");
}

TEST(JinjaMacroTest, EndlessRecursionIsAnError) {
  EXPECT_THAT(TryRender("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}"),
              StatusIs(kInvalidTemplate, HasSubstr("too deep")));
}

TEST(JinjaFilterTest, TojsonWritesLikePythonWithoutAsciiEscapes) {
  EXPECT_EQ(Render("{{ {'a': [1, 2.0, none, true], '\u00e9': '<\"\\n\\u2028'} | tojson }}"),
            "{\"a\": [1, 2.0, null, true], \"\u00e9\": \"<\\\"\\n\u2028\"}");
  EXPECT_EQ(Render("{{ {'a': [1], 'b': {}} | tojson(indent=2) }}"),
            "{\n  \"a\": [\n    1\n  ],\n  \"b\": {}\n}");
}

TEST(JinjaFilterTest, SequencesAreSelectedMappedAndJoined) {
  EXPECT_EQ(Render("{{ messages|selectattr('role', 'equalto', 'user')|map(attribute='content')|"
                   "join('|') }},{{ [1,2,3]|reject('odd')|list }},{{ ['a']|map('upper')|first }}"),
            "Hi,[2],A");
  EXPECT_EQ(
      Render("{{ ['b','A','c']|sort|join }},{{ {'b':1,'a':2}|dictsort }},{{ [1,1]|unique|list "
             "}},{{ 'abc'|reverse }}"),
      "Abc,[('a', 2), ('b', 1)],[1],cba");
  EXPECT_EQ(Render("{{ messages|map(attribute='n', default=0)|list }}"), "[0, 0, 3]");
}

TEST(JinjaFilterTest, TextFiltersFollowPython) {
  EXPECT_EQ(Render("{{ ' x '|trim }},{{ 'stra\u00dfe'|upper }},{{ 'a-b c'|title }},{{ "
                   "'aaa'|replace('a','b',2) }},{{ x|default('d') }},{{ ''|default('e', true) }}"),
            "x,STRASSE,A-B C,bba,d,e");
  EXPECT_EQ(Render("{{ '5'|int }},{{ 'x'|int(7) }},{{ '3.7'|int }},{{ 'a\\nb'|indent(2) }}"),
            "5,7,3,a\n  b");
}

TEST(JinjaMethodTest, StringMethodsFollowPython) {
  EXPECT_EQ(
      Render("{{ 'a</t>b</t>'.split('</t>') }},{{ ' a b '.split() }},{{ 'xax'.strip('x') }},{{ "
             "'\\n\\na'.lstrip('\\n') }},{{ 'abc'.startswith(('z','a')) }},{{ "
             "'\u00e9b'.find('b') }}"),
      "['a', 'b', ''],['a', 'b'],a,a,True,1");
}

TEST(JinjaMethodTest, MethodHidesAnItemOfItsNameBehindADotOnly) {
  EXPECT_EQ(Render("{{ {'items': 1}['items'] }}{{ {'items': 1}.items is callable }}"), "1True");
}

TEST(JinjaTestTest, KindsAreTold) {
  EXPECT_EQ(
      Render("{{ 'a' is string }}{{ 1 is string }}{{ true is number }}{{ {} is mapping }}{{ [] "
             "is sequence }}{{ 'a' is iterable }}{{ none is none }}{{ 0 is false }}{{ 3 is odd "
             "}}{{ 4 is divisibleby 2 }}{{ 1 is not none }}"),
      "TrueFalseTrueTrueTrueTrueTrueFalseTrueTrueTrue");
}

TEST(JinjaErrorTest, UnknownConstructsAreNamedWithTheirLine) {
  const std::pair<const char*, const char*> cases[] = {
      {"\n{% include 'x' %}", "line 2: the statement 'include' is not supported"},
      {"\n\n{{ 1|frobnicate }}", "line 3: the filter 'frobnicate' is not supported"},
      {"{{ 1 is frobnicated }}", "line 1: the test 'frobnicated' is not supported"},
      {"{{ 'a'.zfill(3) }}", "line 1: the string method 'zfill' is not supported"},
      {"{{ strftime_now('%Y') }}", "line 1: the function 'strftime_now' is not supported"},
      {"{{ frobnicate() }}", "line 1: 'frobnicate' is undefined"},
      {"{{ '%s' % 1 }}", "line 1: formatting with % is not supported"},
      {"{{ 2 ** 3 }}", "line 1: the operator ** is not supported"},
      {"{% set x = [] %}\n{{ x.append(1) }}", "line 2: the list method 'append'"}};
  for (const auto& [source, message] : cases) {
    EXPECT_THAT(TryRender(source), StatusIs(kInvalidTemplate, HasSubstr(message))) << source;
  }
}

TEST(JinjaErrorTest, MalformedTemplatesAreRefused) {
  for (const char* source : {"{{ 1", "{% if x %}", "{% endif %}", "{# a", "{{ 'a }}", "{{ (1 }}",
                             "{{ 1 + }}", "{% for x %}{% endfor %}", "{{ ] }}", "{% set 1 = 2 %}",
                             "{% break %}", "{% raw %}", "\xFF"}) {
    EXPECT_THAT(TryRender(source), StatusIs(kInvalidTemplate, HasSubstr("line 1"))) << source;
  }
}

TEST(JinjaErrorTest, WrongTypesAreErrors) {
  for (const char* source : {"{{ 'a' + 1 }}", "{{ none + 'a' }}", "{{ 1 < 'a' }}", "{{ 5|list }}",
                             "{{ 1 in 'a' }}", "{{ 1 / 0 }}", "{{ messages|map('upper') }}"}) {
    EXPECT_THAT(TryRender(source), StatusIs(kInvalidTemplate, HasSubstr("line 1"))) << source;
  }
}

TEST(JinjaLimitTest, EndlessWorkIsStopped) {
  const JinjaLimits limits = {.work = 1 << 20, .output_bytes = 1 << 16};
  const char* sources[] = {
      "{% for i in range(999999999) %}{% endfor %}",
      "{% for i in range(9999) %}{% for j in range(9999) %}{% endfor %}{% endfor %}",
      "{{ 'a' * 99999999999 }}",
      "{{ [0] * 99999999999 }}",
      "{% set ns = namespace(s='a') %}{% for i in range(99) %}{% set ns.s = ns.s + ns.s %}{% "
      "endfor %}",
      "{% set ns = namespace(s=[0]) %}{% for i in range(99) %}{% set ns.s = [ns.s, ns.s] %}{% "
      "endfor %}"
      "{{ ns.s }}"};
  for (const char* source : sources) {
    EXPECT_THAT(TryRender(source, limits),
                StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("line 1")))
        << source;
  }
}

TEST(JinjaLimitTest, LongOutputIsStopped) {
  const JinjaLimits limits = {.work = 1 << 24, .output_bytes = 100};
  EXPECT_THAT(TryRender("{{ 'a' * 101 }}", limits),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("100 bytes")));
}

TEST(JinjaLimitTest, DeepNestingIsRefused) {
  const auto repeat = [](const std::string& text, int count) {
    std::string out;
    for (int i = 0; i < count; ++i) out += text;
    return out;
  };
  const std::string sources[] = {"{{ " + repeat("(", 5000) + "1" + repeat(")", 5000) + " }}",
                                 "{{ " + repeat("[", 5000) + repeat("]", 5000) + " }}",
                                 "{{ " + repeat("not ", 5000) + "1 }}",
                                 "{{ " + repeat("-", 5000) + "1 }}",
                                 "{{ 1" + repeat(" + 1", 5000) + " }}",
                                 "{{ x" + repeat(".a", 5000) + " }}",
                                 "{{ 1" + repeat(" if 1 else 1", 5000) + " }}",
                                 repeat("{% if 1 %}", 5000) + repeat("{% endif %}", 5000),
                                 "{% set ns = namespace(s=[]) %}{% for i in range(5000) %}{% set "
                                 "ns.s = [ns.s] %}{% endfor %}"};
  for (const std::string& source : sources) {
    EXPECT_THAT(TryRender(source), StatusIs(kInvalidTemplate, HasSubstr("deep")))
        << source.substr(0, 40);
  }
}

}  // namespace
}  // namespace sdar
