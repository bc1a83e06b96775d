// SPDX-License-Identifier: Apache-2.0
#include "runtime/text/jinja/operators.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"

#include "common/status_macros.h"
#include "common/utf8.h"
#include "runtime/text/jinja/library/python_text.h"

namespace sdar {
namespace {

using Result = absl::StatusOr<JinjaValue>;
using SequenceKind = JinjaSequence::Kind;

Result Unsupported(absl::string_view op, const JinjaValue& a, const JinjaValue& b) {
  return JinjaError(absl::StrCat("unsupported operand types for ", op, ": '", a.TypeName(),
                                 "' and '", b.TypeName(), "'"));
}

Result DivideIntegers(absl::string_view op, int64_t a, int64_t b) {
  if (b == 0) return JinjaError("division by zero");
  if (op == "/") return JinjaValue(static_cast<double>(a) / static_cast<double>(b));
  if (a == std::numeric_limits<int64_t>::min() && b == -1) {
    return op == "%" ? Result(JinjaValue(int64_t{0})) : JinjaError("an integer exceeds 64 bits");
  }
  // Python rounds the quotient down and gives the remainder the divisor's sign.
  const int64_t remainder = a % b;
  const bool adjust = remainder != 0 && (remainder < 0) != (b < 0);
  if (op == "//") return JinjaValue(a / b - (adjust ? 1 : 0));
  return JinjaValue(adjust ? remainder + b : remainder);
}

Result CombineIntegers(absl::string_view op, int64_t a, int64_t b) {
  int64_t result = 0;
  bool overflow = false;
  if (op == "+") {
    overflow = __builtin_add_overflow(a, b, &result);
  } else if (op == "-") {
    overflow = __builtin_sub_overflow(a, b, &result);
  } else if (op == "*") {
    overflow = __builtin_mul_overflow(a, b, &result);
  } else {
    return DivideIntegers(op, a, b);
  }
  if (overflow) return JinjaError("an integer exceeds 64 bits");
  return JinjaValue(result);
}

Result CombineFloats(absl::string_view op, double a, double b) {
  if (op == "+") return JinjaValue(a + b);
  if (op == "-") return JinjaValue(a - b);
  if (op == "*") return JinjaValue(a * b);
  if (b == 0) return JinjaError("division by zero");
  if (op == "/") return JinjaValue(a / b);
  double remainder = std::fmod(a, b);
  if (remainder != 0 && (remainder < 0) != (b < 0)) remainder += b;
  if (op == "%") return JinjaValue(remainder);
  return JinjaValue(std::round((a - remainder) / b));
}

bool IsListOrTuple(const JinjaValue& value) {
  const JinjaSequence* items = value.sequence();
  return items != nullptr &&
         (items->kind == SequenceKind::kList || items->kind == SequenceKind::kTuple);
}

// `value * count` for strings, lists and tuples.
Result Repeat(const JinjaValue& value, int64_t count, JinjaBudget& budget) {
  const auto times = static_cast<size_t>(std::max<int64_t>(count, 0));
  const size_t size = value.is_string() ? value.text().size() : value.sequence()->items.size();
  const size_t copies = size > 0 ? times : 0;
  size_t total = 0;
  if (__builtin_mul_overflow(size, copies, &total)) total = std::numeric_limits<size_t>::max() / 2;
  if (value.is_string()) SDAR_RETURN_IF_ERROR(budget.Allocate(total));
  constexpr size_t kUnitsPerCopy = 8;
  SDAR_RETURN_IF_ERROR(budget.Charge(total));
  SDAR_RETURN_IF_ERROR(budget.Charge(kUnitsPerCopy * copies));
  if (value.is_string()) {
    std::string out;
    out.reserve(size * copies);
    for (size_t i = 0; i < copies; ++i) out += value.text();
    return MakeBuiltText(std::move(out), budget);
  }
  JinjaItems out(budget);
  SDAR_RETURN_IF_ERROR(out.Reserve(size * copies));
  for (size_t i = 0; i < copies; ++i) {
    for (const JinjaValue& item : value.sequence()->items) SDAR_RETURN_IF_ERROR(out.Add(item));
  }
  return MakeSequence(value.sequence()->kind, std::move(out));
}

Result Add(const JinjaValue& a, const JinjaValue& b, JinjaBudget& budget) {
  if (a.is_string() && b.is_string()) {
    SDAR_RETURN_IF_ERROR(budget.Charge(a.text().size() + b.text().size()));
    SDAR_RETURN_IF_ERROR(budget.Allocate(a.text().size() + b.text().size()));
    return MakeBuiltText(absl::StrCat(a.text(), b.text()), budget);
  }
  if (a.is_string()) {
    return JinjaError(absl::StrCat("can only concatenate str (not \"", b.TypeName(), "\") to str"));
  }
  if (!IsListOrTuple(a) || !IsListOrTuple(b) || a.sequence()->kind != b.sequence()->kind) {
    return Unsupported("+", a, b);
  }
  JinjaItems items(budget);
  SDAR_RETURN_IF_ERROR(items.Reserve(a.sequence()->items.size() + b.sequence()->items.size()));
  for (const JinjaValue* side : {&a, &b}) {
    for (const JinjaValue& item : side->sequence()->items) SDAR_RETURN_IF_ERROR(items.Add(item));
  }
  return MakeSequence(a.sequence()->kind, std::move(items));
}

}  // namespace

Result ApplyBinary(absl::string_view op, const JinjaValue& a, const JinjaValue& b,
                   JinjaBudget& budget) {
  if (a.is_undefined()) return a.UndefinedError();
  if (b.is_undefined()) return b.UndefinedError();
  if (a.is_number() && b.is_number()) {
    if (a.is_float() || b.is_float()) return CombineFloats(op, a.number(), b.number());
    return CombineIntegers(op, a.integer(), b.integer());
  }
  if (op == "+") return Add(a, b, budget);
  const auto repeats = [](const JinjaValue& value) {
    return value.is_string() || IsListOrTuple(value);
  };
  const auto counts = [](const JinjaValue& value) { return value.is_int() || value.is_bool(); };
  if (op == "*" && repeats(a) && counts(b)) return Repeat(a, b.integer(), budget);
  if (op == "*" && counts(a) && repeats(b)) return Repeat(b, a.integer(), budget);
  if (op == "%" && a.is_string()) return JinjaError("formatting with % is not supported");
  return Unsupported(op, a, b);
}

Result ApplySign(absl::string_view op, const JinjaValue& a) {
  if (a.is_undefined()) return a.UndefinedError();
  if (!a.is_number()) {
    return JinjaError(absl::StrCat("bad operand type for unary ", op, ": '", a.TypeName(), "'"));
  }
  if (a.is_float()) return JinjaValue(op == "-" ? -a.number() : a.number());
  return op == "-" ? CombineIntegers("-", 0, a.integer()) : Result(JinjaValue(a.integer()));
}

absl::StatusOr<int64_t> LengthOf(const JinjaValue& value, JinjaBudget& budget) {
  if (value.is_undefined()) return 0;
  if (value.is_string()) {
    SDAR_RETURN_IF_ERROR(budget.Charge(value.text().size()));
    return CountCodePoints(value.text());
  }
  if (const JinjaDict* object = value.dict()) return static_cast<int64_t>(object->items.size());
  if (const JinjaLoop* loop = value.loop()) return static_cast<int64_t>(loop->items->items.size());
  const JinjaSequence* items = value.sequence();
  if (items != nullptr && items->kind != SequenceKind::kGenerator) {
    return static_cast<int64_t>(items->items.size());
  }
  return JinjaError(absl::StrCat("object of type '", value.TypeName(), "' has no len()"));
}

namespace {

// Python's slice.indices: the positions that [start:stop:step] selects out of `length`.
struct SliceBounds {
  int64_t start = 0;
  int64_t step = 1;
  int64_t count = 0;
};

absl::StatusOr<SliceBounds> ResolveSlice(const JinjaValue& start, const JinjaValue& stop,
                                         const JinjaValue& step, int64_t length) {
  for (const JinjaValue* bound : {&start, &stop, &step}) {
    if (bound->is_undefined()) return bound->UndefinedError();
    if (!bound->is_none() && !bound->is_int() && !bound->is_bool()) {
      return JinjaError(
          absl::StrCat("slice indices must be integers or None, not ", bound->TypeName()));
    }
  }
  SliceBounds bounds;
  if (!step.is_none()) bounds.step = step.integer();
  if (bounds.step == 0) return JinjaError("slice step cannot be zero");
  const bool forward = bounds.step > 0;
  const int64_t low = forward ? 0 : -1;
  const int64_t high = forward ? length : length - 1;
  const auto clamp = [&](const JinjaValue& bound, int64_t absent) {
    if (bound.is_none()) return absent;
    const int64_t index = bound.integer();
    return std::clamp(index < 0 ? std::max(index, -length - 1) + length : index, low, high);
  };
  bounds.start = clamp(start, forward ? low : high);
  const int64_t end = clamp(stop, forward ? high : low);
  if (forward && end > bounds.start) bounds.count = (end - bounds.start - 1) / bounds.step + 1;
  if (!forward && end < bounds.start) {
    // -(step + 1) + 1 would overflow for the smallest step; one step is then all there is.
    const int64_t stride = bounds.step == std::numeric_limits<int64_t>::min()
                               ? std::numeric_limits<int64_t>::max()
                               : -bounds.step;
    bounds.count = (bounds.start - end - 1) / stride + 1;
  }
  return bounds;
}

// The characters that a slice with another step than 1 selects.
Result SliceText(absl::string_view text, const SliceBounds& bounds, JinjaBudget& budget) {
  std::vector<uint32_t> starts;  // of characters, in bytes; empty when those are bytes
  if (!IsAsciiText(text)) {
    SDAR_RETURN_IF_ERROR(budget.Allocate(text.size() * sizeof(uint32_t)));
    starts.reserve(text.size());
    for (size_t i = 0; i < text.size(); i += ReadUtf8(text, i).length) {
      starts.push_back(static_cast<uint32_t>(i));
    }
  }
  JinjaTextBuilder out(budget);
  for (int64_t i = 0; i < bounds.count; ++i) {
    const auto index = static_cast<size_t>(bounds.start + i * bounds.step);
    const size_t begin = starts.empty() ? index : starts[index];
    SDAR_RETURN_IF_ERROR(out.Append(text.substr(begin, ReadUtf8(text, begin).length)));
  }
  return MakeText(std::move(out));
}

}  // namespace

Result GetSlice(const JinjaValue& object, const JinjaValue& start, const JinjaValue& stop,
                const JinjaValue& step, JinjaBudget& budget) {
  if (object.is_undefined()) return object.UndefinedError();
  const JinjaSequence* items = object.sequence();
  const bool sliceable = items != nullptr && items->kind != SequenceKind::kView &&
                         items->kind != SequenceKind::kGenerator;
  if (!object.is_string() && !sliceable) {
    return JinjaError(absl::StrCat("'", object.TypeName(), "' object cannot be sliced"));
  }
  SDAR_ASSIGN_OR_RETURN(const int64_t length, LengthOf(object, budget));
  SDAR_ASSIGN_OR_RETURN(const SliceBounds bounds, ResolveSlice(start, stop, step, length));
  if (object.is_string()) {
    SDAR_RETURN_IF_ERROR(budget.ChargeCharacters(object.text()));
    if (bounds.step != 1) return SliceText(object.text(), bounds, budget);
    return MakeText(CodePointRange(object.text(), bounds.start, bounds.start + bounds.count),
                    budget);
  }
  JinjaItems out(budget);
  SDAR_RETURN_IF_ERROR(out.Reserve(static_cast<size_t>(bounds.count)));
  for (int64_t i = 0; i < bounds.count; ++i) {
    const auto index = static_cast<size_t>(bounds.start + i * bounds.step);
    SDAR_RETURN_IF_ERROR(out.Add(items->items[index]));
  }
  return MakeSequence(items->kind, std::move(out));
}

}  // namespace sdar
