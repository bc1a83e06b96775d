// SPDX-License-Identifier: Apache-2.0
// Looks for work and memory that templates do not pay for. An input chooses a template out of a
// grammar of expressions over long texts and wide containers. What its rendering paid for is
// compared with the processor time of the thread and with the bytes that it held at its peak.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <ctime>
#include <iterator>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/types/span.h"

#include "common/status_macros.h"
#include "runtime/text/chat_template.h"
#include "sanitizer/allocator_interface.h"

namespace {

constexpr sdar::JinjaLimits kLimits = {
    .work = 24 << 20, .memory_bytes = 64 << 20, .output_bytes = 1 << 20};

// The values that expressions work on. Multiplication makes long texts cheaply.
constexpr char kPrelude[] =
    "{% set s = 'a' * 500000 %}{% set t = 'a' * 499999 ~ 'b' %}{% set u = 'ää' * 100000 %}"
    "{% set c = 'abcdefghi,' * 40000 %}{% set w = '\\n\\n\\n\\n' * 30000 %}"
    "{% set z = '1111' * 100000 %}{% set q = '\"\"\"\"' * 30000 %}{% set k = {s: 1, t: 2} %}"
    "{% set m = [s, t, l] %}{% set ns = namespace(x='', y=[]) %}";

// A unit takes about a nanosecond, under sanitizers about ten. This is for slow machines.
constexpr double kNsPerUnit = 60;
constexpr double kFreeNs = 3e7;
constexpr int kMaxTries = 8;
// What a rendering holds besides its values: the messages, scopes, operands under way.
constexpr double kHeldPerPaidByte = 2;
constexpr double kFreeBytes = 2 << 20;

// Bytes that the thread holds since they were last reset, and their peak.
struct Held {
  int64_t now = 0;
  int64_t peak = 0;
};
thread_local Held held;

void NoteMalloc(const volatile void*, size_t size) {
  held.now += static_cast<int64_t>(size);
  held.peak = std::max(held.peak, held.now);
}

void NoteFree(const volatile void* block) {
  if (block == nullptr) return;
  held.now -= static_cast<int64_t>(__sanitizer_get_allocated_size(const_cast<const void*>(block)));
}

double ThreadNs() {
  timespec time = {};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return 1e9 * static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec);
}

sdar::ChatRequest MakeRequest() {
  sdar::ChatRequest request;
  request.messages = sdar::Json::array({{{"role", "user"}, {"content", "Hi"}}});
  sdar::Json list = sdar::Json::array();
  sdar::Json wide = sdar::Json::object();
  for (int i = 0; i < 2000; ++i) {
    list.push_back(absl::StrCat("item ", i));
    wide[absl::StrCat("k", i)] = i;
  }
  request.variables = {{"l", list}, {"d", wide}};
  return request;
}

// Parts of expressions; a % stands for another.
constexpr const char* kLeaves[] = {"s", "t",  "u",   "c", "w", "z",    "q",   "l",
                                   "m", "d",  "k",   "i", "5", "'b'",  "','", "ns.x",
                                   "v", "-1", "'a'", "e", "3", "ns.y", "[]",  "none"};
constexpr const char* kPatterns[] = {"(%).isdigit()",
                                     "(%).isspace()",
                                     "(% is upper)",
                                     "(% is lower)",
                                     "(% == %)",
                                     "(% < %)",
                                     "(% in %)",
                                     "(% not in %)",
                                     "(%)[%]",
                                     "(%)[::-1]",
                                     "(%)[%:%]",
                                     "(%)[::2]",
                                     "(%|length)",
                                     "(%).startswith(%)",
                                     "(%).endswith((%, %))",
                                     "(%).find(%)",
                                     "(%).rfind(%)",
                                     "(%).count(%)",
                                     "(%).split(%)",
                                     "(%).split()",
                                     "(%).rsplit(%, %)",
                                     "(%).splitlines()",
                                     "(%).partition(%)",
                                     "(%).rpartition(%)",
                                     "(%).strip()",
                                     "(%).strip(%)",
                                     "(%).replace(%, %)",
                                     "(%).upper()",
                                     "(%).lower()",
                                     "(%).title()",
                                     "(%).capitalize()",
                                     "(%|title)",
                                     "(%|reverse)",
                                     "(%|reverse|list)",
                                     "(%|trim)",
                                     "(%|indent(%))",
                                     "(%|int)",
                                     "(%|float)",
                                     "(%|tojson)",
                                     "(%|tojson(indent=%))",
                                     "(%|tojson(separators=(%, %)))",
                                     "(%|tojson(sort_keys=true))",
                                     "(%|string)",
                                     "(% ~ %)",
                                     "(% + %)",
                                     "(% * %)",
                                     "(%|join)",
                                     "(%|join(%))",
                                     "(%).join(%)",
                                     "(%|sort)",
                                     "(%|sort(attribute=%))",
                                     "(%|unique|list)",
                                     "(%|min)",
                                     "(%|max)",
                                     "(%|dictsort)",
                                     "(%|dictsort(by='value'))",
                                     "(%|items|list)",
                                     "(%).items()",
                                     "(%).keys()",
                                     "(%).get(%)",
                                     "(%|list)",
                                     "(%|first)",
                                     "(%|last)",
                                     "(%|sum)",
                                     "(%|sum(start=%))",
                                     "(%|map('upper')|list)",
                                     "(%|map('list')|list)",
                                     "(%|map(attribute=%)|list)",
                                     "(%|map('default', %)|list)",
                                     "(%|select('eq', %)|list)",
                                     "(%|reject('in', %)|list)",
                                     "(%|selectattr(%)|list)",
                                     "range(%)",
                                     "range(%|length)",
                                     "dict(a=%, b=%)",
                                     "{%: %, 'b': %}",
                                     "[%, %, %]",
                                     "(%, %)",
                                     "(% if % else %)",
                                     "(% and %)",
                                     "(%|default(%))",
                                     "(%).index(%)",
                                     "(%|replace(%, %))",
                                     "(%).removeprefix(%)",
                                     "(%).removesuffix(%)",
                                     "(%|abs)",
                                     "(%) - (%)",
                                     "(% // %)",
                                     "namespace(a=%).a",
                                     "(% is divisibleby %)",
                                     "(%|round)",
                                     "(%|capitalize)",
                                     "[%, %]|string",
                                     "[%]|tojson",
                                     "{%: 1}|tojson",
                                     "(%|length == %|length)"};

// Writes the template that an input stands for.
class TemplateWriter {
 public:
  explicit TemplateWriter(absl::Span<const uint8_t> input) : input_(input) {}

  std::string Write() {
    std::string body;
    const size_t num_statements = 1 + Next() % 3;
    for (size_t i = 0; i < num_statements; ++i) body += Statement();
    return absl::StrCat(kPrelude, "{% for i in range(", Pick({"3000", "1", "100", "10"}), ") %}",
                        body, "{% endfor %}");
  }

 private:
  uint8_t Next() {
    if (input_.empty()) return 0;
    const uint8_t byte = input_.front();
    input_.remove_prefix(1);
    return byte;
  }

  std::string Pick(absl::Span<const char* const> choices) {
    return choices[Next() % choices.size()];
  }

  // One of `choices`, in which every % stands for an expression of its own.
  std::string Fill(const std::string& pattern, int depth) {
    std::string out;
    for (const char c : pattern) {
      if (c == '%') {
        out += Expression(depth + 1);
      } else {
        out.push_back(c);
      }
    }
    return out;
  }

  std::string Statement() {
    static constexpr const char* kStatements[] = {
        "{@ if (#) is defined @}{@ endif @}",
        "{@ set v = # @}",
        "{@ set ns.x = # @}",
        "{@ set ns.y = [#, ns.y] @}",
        "{@ for e in # @}{@ endfor @}",
        "{@ for e in # if e == # @}{{ e }}{@ endfor @}",
        "{@ set v @}{{ # }}{@ endset @}",
        "{@ filter upper @}{{ # }}{@ endfilter @}",
        "{@ set v | indent @}{{ # }}{@ endset @}",
        "{@ with v = #, w = # @}{{ v == w }}{@ endwith @}",
        "{@ for a, b in #|items @}{{ a }}{@ endfor @}"};
    std::string statement = absl::StrReplaceAll(Pick(kStatements), {{"@", "%"}});
    for (size_t at = statement.find('#'); at != std::string::npos; at = statement.find('#', at)) {
      const std::string expression = Expression(0);
      statement.replace(at, 1, expression);
      at += expression.size();
    }
    return statement;
  }

  std::string Expression(int depth) {
    constexpr int kMaxDepth = 4;
    if (depth >= kMaxDepth) return Pick(kLeaves);
    const size_t choice = Next() % (std::size(kPatterns) + std::size(kLeaves));
    if (choice >= std::size(kPatterns)) return kLeaves[choice - std::size(kPatterns)];
    return Fill(kPatterns[choice], depth);
  }

  absl::Span<const uint8_t> input_;
};

struct Measured {
  double ns = 0;
  double held_bytes = 0;
  size_t work = 0;
  size_t memory_bytes = 0;
};

Measured Render(const sdar::ChatTemplate& chat_template, const sdar::ChatRequest& request) {
  sdar::JinjaBudget budget(kLimits);
  held = {};
  const double begin = ThreadNs();
  { const auto prompt = chat_template.Render(request, budget); }
  // A budget that was passed counts as its limit.
  return {ThreadNs() - begin, static_cast<double>(held.peak), std::min(budget.work(), kLimits.work),
          std::min(budget.memory_bytes(), kLimits.memory_bytes)};
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const sdar::ChatRequest* const request = new sdar::ChatRequest(MakeRequest());
  static const int hooked = __sanitizer_install_malloc_and_free_hooks(NoteMalloc, NoteFree);
  SDAR_CHECK(hooked != 0);
  const std::string source = TemplateWriter(absl::MakeSpan(data, size)).Write();
  const auto chat_template = sdar::ChatTemplate::Parse(source);
  if (!chat_template.ok()) return 0;
  static const sdar::ChatTemplate* const prelude =
      new sdar::ChatTemplate(*sdar::ChatTemplate::Parse(kPrelude));
  Measured measured;
  bool too_slow = true;
  // Whatever else the machine did: it is slow only if it is slow every time, beside a prelude of
  // the same moment, which is no news.
  for (int i = 0; i < kMaxTries && too_slow; ++i) {
    const Measured before = Render(*prelude, *request);
    measured = Render(*chat_template, *request);
    const double units = static_cast<double>(measured.work) - static_cast<double>(before.work);
    too_slow = measured.ns - before.ns > kFreeNs + kNsPerUnit * units;
  }
  const bool too_large = measured.held_bytes >
                         kFreeBytes + kHeldPerPaidByte * static_cast<double>(measured.memory_bytes);
  if (too_slow || too_large) {
    std::fprintf(stderr, "%.0f ns for %zu units, %.0f bytes held for %zu paid: %s\n", measured.ns,
                 measured.work, measured.held_bytes, measured.memory_bytes, source.c_str());
  }
  SDAR_CHECK(!too_slow);
  SDAR_CHECK(!too_large);
  return 0;
}
