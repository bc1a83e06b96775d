// SPDX-License-Identifier: Apache-2.0
// Templates pay for all that they do: what a primitive reads and writes is charged before it is
// done, so that no template and no conversation hangs the process or exhausts its memory.
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "runtime/text/chat_template.h"
#include "tests/status_matchers.h"

namespace sdar {
namespace {

using ::testing::_;
using ::testing::HasSubstr;

constexpr size_t kLong = 1'000'000;

// A request whose variables are texts of kLong bytes and containers of their parts.
ChatRequest MakeRequest() {
  ChatRequest request;
  request.messages = Json::array({{{"role", "user"}, {"content", "Hi"}}});
  request.variables = {{"s", std::string(kLong, 'a')},
                       {"t", std::string(kLong - 1, 'a') + "b"},
                       {"upper", std::string(kLong, 'A')},
                       {"digits", std::string(kLong, '7')},
                       {"blanks", std::string(kLong, ' ')},
                       {"umlauts", absl::StrReplaceAll(std::string(kLong / 2, 'a'), {{"a", "ä"}})},
                       {"d", {{std::string(kLong, 'a'), 1}}},
                       {"n", std::string(kLong / 2, '1') + std::string(kLong / 2, '_')}};
  Json& list = request.variables["l"] = Json::array();
  for (int i = 0; i < 10000; ++i) list.push_back(absl::StrCat("item ", i));
  return request;
}

const ChatRequest& Request() {
  static const ChatRequest request = MakeRequest();
  return request;
}

struct Cost {
  absl::Status status;
  size_t work = 0;
  size_t memory_bytes = 0;
};

Cost CostOf(const std::string& source, const JinjaLimits& limits = {}) {
  const auto chat_template = ChatTemplate::Parse(source);
  if (!chat_template.ok()) return {chat_template.status()};
  JinjaBudget budget(limits);
  const auto prompt = chat_template->Render(Request(), budget);
  return {prompt.status(), budget.work(), budget.memory_bytes()};
}

// What rendering `expression` costs more than rendering nothing.
size_t WorkOf(const std::string& expression) {
  static const size_t nothing = CostOf("").work;
  const Cost cost = CostOf("{% if (" + expression + ") is defined %}{% endif %}");
  EXPECT_THAT(cost.status, IsOk()) << expression;
  return cost.work - nothing;
}

TEST(TemplateCostTest, EveryPrimitiveThatReadsALongTextPaysForIt) {
  for (const char* expression : {"s.isdigit()",
                                 "digits.isdigit()",
                                 "blanks.isspace()",
                                 "s is upper",
                                 "s is lower",
                                 "upper is upper",
                                 "s == t",
                                 "s != t",
                                 "s < t",
                                 "s >= t",
                                 "s in t",
                                 "'b' in s",
                                 "s in d",
                                 "d[s]",
                                 "d.get(t)",
                                 "d[t]",
                                 "s[5]",
                                 "s[-1]",
                                 "s[::2]",
                                 "umlauts[::-1]",
                                 "s[1:3]",
                                 "umlauts[7]",
                                 "s|length",
                                 "umlauts|length",
                                 "s.startswith(t)",
                                 "s.startswith((t, s))",
                                 "t.endswith(s)",
                                 "s.find('b')",
                                 "s.rfind('b')",
                                 "s.count('b')",
                                 "s.count('')",
                                 "s.split('b')",
                                 "s.split()",
                                 "s.rsplit('b')",
                                 "s.splitlines()",
                                 "s.partition('b')",
                                 "s.rpartition('b')",
                                 "s.strip()",
                                 "s.strip('b')",
                                 "'b'.strip(s)",
                                 "s.replace('b', '')",
                                 "s.upper()",
                                 "s.lower()",
                                 "s.title()",
                                 "s.capitalize()",
                                 "s|upper",
                                 "s|title",
                                 "s|reverse",
                                 "s|trim",
                                 "s|indent",
                                 "s|int",
                                 "n|int",
                                 "s|float",
                                 "s|tojson",
                                 "[s]|string",
                                 "s ~ t",
                                 "s + t",
                                 "s * 2",
                                 "[s, t]|join",
                                 "','.join([s, t])",
                                 "[s, t]|sort",
                                 "[s, t]|unique|list",
                                 "[s, t]|max",
                                 "{'x': s}|dictsort(by='value')",
                                 "s.removeprefix(t)",
                                 "s.removesuffix(t)",
                                 "s|last",
                                 "[1, 2]|tojson(separators=(s, s))",
                                 "[1]|tojson(indent=s)",
                                 "[l]|map(attribute=s)|list",
                                 "s|replace('b', 'c')",
                                 "{s: 1, t: 2}|tojson(sort_keys=true)",
                                 "l|map(s)",
                                 "l|select(s)"}) {
    const Cost cost = CostOf(absl::StrCat("{% if (", expression, ") is defined %}{% endif %}"));
    if (!cost.status.ok()) {  // an unknown name is an error, after it was read
      EXPECT_THAT(cost.status, StatusIs(absl::StatusCode::kInvalidArgument, _)) << expression;
      continue;
    }
    EXPECT_GE(WorkOf(expression), kLong / 4) << expression;
  }
}

TEST(TemplateCostTest, EveryPrimitiveThatVisitsManyElementsPaysForThem) {
  for (const char* expression : {"'x' in l",
                                 "l == l[:]",
                                 "l + l",
                                 "l * 2",
                                 "l[1:]",
                                 "l[::-1]",
                                 "l|sort",
                                 "l|unique",
                                 "l|unique|list",
                                 "l|min",
                                 "l|reverse",
                                 "l|map('upper')",
                                 "l|select('defined')",
                                 "l|reject('defined')",
                                 "l|join",
                                 "''.join(l)",
                                 "l|string",
                                 "l|tojson",
                                 "l|map('length')|sum",
                                 "range(10000)",
                                 "l|map(attribute='x')",
                                 "l|selectattr('x')",
                                 "l.index('item 9999')",
                                 "l.count('x')",
                                 "l < l[:-1]"}) {
    EXPECT_GE(WorkOf(expression), 10000u * 4) << expression;
  }
}

TEST(TemplateCostTest, SearchesAreLinear) {
  // A quadratic search would need 10^11 steps; a budget that charged for one would refuse them.
  for (const char* expression :
       {"t in s", "s[:-1] ~ 'b' in s", "s.find(t[1:])", "s.rfind('b' ~ s[1:500000])",
        "s.count(t[500000:])", "s.split(t[500000:])", "s.rsplit('b' ~ s[:500000])",
        "s.replace(t[500000:], 'x')", "umlauts.strip(umlauts)", "s.partition(t[500000:])"}) {
    EXPECT_LE(WorkOf(expression), 60 * kLong) << expression;
  }
}

TEST(TemplateCostTest, UniqueIsLinear) {
  EXPECT_LE(WorkOf("l|unique|list"), 10000u * 1000);
  EXPECT_EQ(*ChatTemplate::Parse("{{ [1, true, 1.0, 'a', 'A', none, none, [1], [1], 2.5, 2.5, x, "
                                 "y, 0, false, {}, {}]|unique|list }}")
                 ->Render(Request()),
            "[1, 'a', None, [1], 2.5, Undefined, 0, {}]");
}

TEST(TemplateCostTest, WideDictsFindTheirKeys) {
  const char* source =
      "{% set d = {'a': 1, 'b': 2, 'c': 3, 'd': 4, 'e': 5, 'f': 6, 'g': 7, 'h': 8, 'i': 9, 1: 10, "
      "true: 11, none: 12, 'a': 13, 'j': 14} %}{{ d.a }},{{ d['h'] }},{{ d[1] }},{{ d[none] }},"
      "{{ d.j }},{{ d[2] is defined }},{{ d|length }},{{ d.keys()|first }},{{ d[1.0] is defined }}";
  EXPECT_EQ(*ChatTemplate::Parse(source)->Render(Request()), "13,8,11,12,14,False,12,a,False");
}

TEST(TemplateCostTest, MemoryIsPaidForByWhatIsHeld) {
  // A character is a value with a heap block of its own.
  EXPECT_GE(CostOf("{% set x = s|list %}").memory_bytes, 80 * kLong);
  EXPECT_GE(CostOf("{% set x = [0] * 1000000 %}").memory_bytes, 24 * kLong);
  EXPECT_GE(CostOf("{% set x = range(1000000) %}").memory_bytes, 24 * kLong);
  EXPECT_GE(CostOf("{% set x = s.split('a') %}").memory_bytes, 80 * kLong);
  EXPECT_GE(CostOf("{% set x = s ~ s %}").memory_bytes, 2 * kLong);
}

TEST(TemplateCostTest, SharingCostsNoMemory) {
  const size_t nothing = CostOf("").memory_bytes;
  for (const char* source : {"{% set x = s %}", "{% for i in l %}{% endfor %}", "{{ l|first }}",
                             "{% set x = l|list %}", "{% set x = s|string %}", "{{ s|first }}"}) {
    EXPECT_LE(CostOf(source).memory_bytes - nothing, 1000u) << source;
  }
}

TEST(TemplateCostTest, PassingTheMemoryLimitIsAnErrorThatNamesIt) {
  const JinjaLimits limits = {.memory_bytes = 64 << 20};
  for (
      const char* source :
      {"{{ s|list }}", "{{ ('x' * 15000000)|list }}", "{{ range(9999999) }}", "{{ [0] * 9999999 }}",
       "{{ s.split('a') }}", "{{ 'x' * 99999999 }}", "{% for c in s %}{% endfor %}",
       "{% set ns = namespace(x=s) %}{% for i in range(99) %}{% set ns.x = ns.x ~ s %}{% endfor %}",
       "{% set ns = namespace(x=[]) %}{% for i in range(999999) %}{% set ns.x = [loop, ns] %}"
       "{% endfor %}{% for i in range(9999999) %}{% endfor %}",
       "{% set x %}{% for i in range(99) %}{{ s }}{% endfor %}{% endset %}",
       "{{ s.replace('a', '0123456789' * 10) }}", "{{ ([s] * 99)|tojson }}", "{{ [s] * 99 }}",
       "{{ l|map('center')|list if false else ([s] * 99)|join }}"}) {
    EXPECT_THAT(CostOf(source, limits).status,
                StatusIs(absl::StatusCode::kResourceExhausted,
                         HasSubstr("more memory than is allowed, 67108864 bytes")))
        << source;
  }
}

TEST(TemplateCostTest, DefaultLimitsEndTheKnownAttacks) {
  for (const char* source :
       {"{% for i in range(100000) %}{% if s.isdigit() %}{% endif %}{% endfor %}",
        "{% for i in range(100000) %}{% if s is upper %}{% endif %}{% endfor %}",
        "{% for i in range(100000) %}{{ d[t] }}{% endfor %}",
        "{% for i in range(100000) %}{{ t in d }}{% endfor %}",
        "{% set p = ('a',) * 1000000 %}{% for i in range(100000) %}{{ 'b'.startswith(p) }}"
        "{% endfor %}",
        "{{ ('x' * 15000000)|list }}"}) {
    EXPECT_THAT(CostOf(source).status, StatusIs(absl::StatusCode::kResourceExhausted, _)) << source;
  }
}

TEST(TemplateCostTest, RequestsMayBringAFewHundredVariables) {
  ChatRequest request = Request();
  request.variables = Json::object();
  for (size_t i = 0; i < kMaxChatVariables; ++i) request.variables[absl::StrCat("v", i)] = i;
  const auto chat_template = ChatTemplate::Parse("{{ v0 }}{{ v255 }}");
  EXPECT_EQ(*chat_template->Render(request), "0255");
  request.variables["more"] = 1;
  EXPECT_THAT(chat_template->Render(request),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       "variables: expected at most 256 names, got 257"));
}

TEST(TemplateCostTest, AVariableIsFoundWithoutALookAtTheOthers) {
  ChatRequest request = Request();
  request.variables = Json::object();
  const auto chat_template =
      ChatTemplate::Parse("{% for i in range(1000) %}{% if wanted %}{% endif %}{% endfor %}");
  const auto work = [&] {
    JinjaBudget budget(JinjaLimits{});
    EXPECT_THAT(chat_template->Render(request, budget), IsOk());
    return budget.work();
  };
  request.variables["wanted"] = 1;
  const size_t alone = work();
  for (size_t i = 0; i < 200; ++i) request.variables[absl::StrCat("other", i)] = i;
  EXPECT_LE(work(), alone + 200 * 1000);
}

TEST(TemplateCostTest, AnotherVariablePaysForALongNameOnce) {
  ChatRequest request = Request();
  request.variables = {{std::string(kLong, 'n'), 1}};
  JinjaBudget budget(JinjaLimits{});
  EXPECT_THAT(ChatTemplate::Parse("")->Render(request, budget), IsOk());
  EXPECT_GE(budget.work(), kLong);
}

TEST(TemplateCostTest, ErrorsQuoteOnlyTheStartOfInput) {
  for (const char* source :
       {"{{ raise_exception(s) }}", "{{ d[t].x }}", "{{ l|map(s)|list }}", "{{ l|select(s)|list }}",
        "{{ loop[s] }}{% for i in l %}{{ loop[s] }}{% endfor %}", "{{ d.nope[t] }}",
        "{{ ''.nope.x }}", "{{ namespace()[s].y }}", "{{ range[s] }}"}) {
    const absl::Status status = CostOf(source).status;
    EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument, _)) << source;
    EXPECT_LE(status.message().size(), 600u) << source;
  }
  ChatRequest request = Request();
  request.messages[0]["content"] = Json::array({{{"type", std::string(kLong, 'x')}}});
  EXPECT_LE(ChatTemplate::Parse("")->Render(request).status().message().size(), 300u);
}

TEST(TemplateCostTest, ErrorsOfTemplatesQuoteOnlyTheStartOfATemplate) {
  const std::string name(kLong / 2, 'x');
  for (const std::string& source :
       {"{% " + name + " %}", "{{ 1|" + name + " }}", "{{ 1 is " + name + " }}",
        "{{ 1 " + name + " }}", "{{ " + name + "() }}", "{{ ''." + name + "() }}",
        "{{ 9" + std::string(kLong / 2, '9') + " }}", "{{ range(" + name + "=1) }}"}) {
    const absl::Status status = CostOf(source).status;
    EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument, _)) << source.substr(0, 20);
    EXPECT_LE(status.message().size(), 700u) << source.substr(0, 20);
  }
}

}  // namespace
}  // namespace sdar
