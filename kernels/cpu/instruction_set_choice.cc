// SPDX-License-Identifier: Apache-2.0
#include "kernels/cpu/instruction_set_choice.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <iterator>
#include <utility>

#include "absl/strings/str_format.h"
#include "absl/time/clock.h"

#include "kernels/cpu/host_memory.h"
#include "kernels/cpu/matmul.h"
#include "kernels/cpu/packed_weight.h"
#include "kernels/cpu/thread_pool.h"

namespace sdar {
namespace {

constexpr int kNumSets = static_cast<int>(InstructionSet::kAmxEmulated);
constexpr int64_t kRows[] = {4, 16, 64};
constexpr int kRounds = 3;
// Of the weight: below it a product is over before threads have met, above it the rest of a model's
// weight would only take longer.
constexpr int64_t kFewestBytes = int64_t{1} << 20;
constexpr int64_t kMostBytesOfThread = int64_t{8} << 20;
constexpr double kMargin = 1.1;

// From here on sets are compared: none before is faster than it where a machine has it.
constexpr auto kFirstCompared = InstructionSet::kAvx512;

InstructionSet SetOf(int index) { return static_cast<InstructionSet>(index); }

// A weight and rows to multiply with it, filled with small numbers.
class TrialProduct {
 public:
  TrialProduct(const ProductShape& shape, int64_t weight_rows, const CoreShare& cores)
      : pool_({cores.num_threads, cores.cpus, cores.spin}) {
    constexpr int kByte = 0x3C;  // 0.011 as a bfloat16 or a float32
    constexpr int64_t kMostRows = 64;
    weight_.dtype = shape.act_dtype;
    weight_.format = shape.format;
    weight_.rows = weight_rows;
    weight_.cols = shape.cols;
    const auto bytes = static_cast<size_t>(NumTiles(weight_) * TileBytes(weight_));
    auto storage = AllocateHostMemory(bytes);
    const size_t x_bytes = static_cast<size_t>(kMostRows * shape.cols) * SizeOf(shape.act_dtype);
    auto x = AllocateHostMemory(x_bytes);
    auto out = AllocateHostMemory(static_cast<size_t>(kMostRows * weight_rows) * sizeof(float));
    is_ready_ = storage.ok() && x.ok() && out.ok();
    if (!is_ready_) return;
    weight_.storage = *std::move(storage);
    x_ = *std::move(x);
    out_ = *std::move(out);
    auto* memory = static_cast<char*>(weight_.storage.data());
    pool_.Run(static_cast<int64_t>(bytes), [&](int64_t begin, int64_t end) {
      std::memset(memory + begin, kByte, static_cast<size_t>(end - begin));
    });
    std::memset(x_.data(), kByte, x_bytes);
  }

  bool is_ready() const { return is_ready_; }

  absl::Duration Time(InstructionSet set, int64_t rows) {
    pool_.PinCaller();
    MatMulRunner runner(KernelsFor(set), pool_);
    const MatMulJob job = {&weight_, MakeView(x_.data(), weight_.dtype, rows, weight_.cols),
                           MakeView(out_.data(), DType::kFloat32, rows, weight_.rows)};
    const absl::Time start = absl::Now();
    runner.Run({job});
    return absl::Now() - start;
  }

 private:
  ThreadPool pool_;
  PackedWeight weight_;
  DeviceBuffer x_;
  DeviceBuffer out_;
  bool is_ready_ = false;
};

}  // namespace

InstructionSetTimes MeasureInstructionSets(const ProductShape& shape, const CoreShare& cores) {
  InstructionSetTimes times(kNumSets);
  const auto best = static_cast<int>(BestInstructionSet());
  for (int i = 0; i <= best; ++i) times[static_cast<size_t>(i)].has = true;
  const auto element = shape.format == WeightFormat::kInt8
                           ? int64_t{1}
                           : static_cast<int64_t>(SizeOf(shape.act_dtype));
  const int64_t row_bytes = shape.cols * element;
  const auto first = static_cast<int>(kFirstCompared);
  if (best <= first || shape.weight_rows * row_bytes < kFewestBytes) return times;
  const int64_t most_rows = kMostBytesOfThread * cores.num_threads / row_bytes;
  TrialProduct product(shape, std::min(shape.weight_rows, std::max<int64_t>(most_rows, 1)), cores);
  if (!product.is_ready()) return times;
  std::vector<double> logarithms(kNumSets, 0);
  for (const int64_t rows : kRows) {
    std::vector<absl::Duration> fastest(kNumSets, absl::InfiniteDuration());
    for (int round = 0; round < kRounds; ++round) {
      for (int i = first; i <= best; ++i) {
        absl::Duration& time = fastest[static_cast<size_t>(i)];
        time = std::min(time, product.Time(SetOf(i), rows));
      }
    }
    for (size_t i = 0; i < fastest.size(); ++i) {
      logarithms[i] += std::log(absl::ToDoubleSeconds(fastest[i])) / std::size(kRows);
    }
  }
  for (int i = first; i <= best; ++i) {
    const auto index = static_cast<size_t>(i);
    times[index].time = absl::Seconds(std::exp(logarithms[index]));
  }
  return times;
}

InstructionSet ChooseInstructionSet(const InstructionSetTimes& times) {
  size_t chosen = 0;
  for (size_t i = 1; i < times.size(); ++i) {
    const absl::Duration time = times[i].time;
    const bool is_worse = time != absl::InfiniteDuration() && time >= times[chosen].time * kMargin;
    if (times[i].has && !is_worse) chosen = i;
  }
  return SetOf(static_cast<int>(chosen));
}

std::string DescribeTimes(const InstructionSetTimes& times) {
  std::string text;
  for (size_t i = times.size(); i-- > 0;) {
    if (times[i].time == absl::InfiniteDuration()) continue;
    const double milliseconds = absl::ToDoubleMilliseconds(times[i].time);
    absl::StrAppendFormat(&text, "%s%s %.2f ms", text.empty() ? "" : ", ",
                          Name(SetOf(static_cast<int>(i))), milliseconds);
  }
  return text;
}

}  // namespace sdar
