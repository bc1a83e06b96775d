// SPDX-License-Identifier: Apache-2.0
#include "bench/forward/forward_bench.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

#include "bench/device/arithmetic_peak.h"
#include "bench/forward/synthetic_source.h"
#include "common/status_macros.h"
#include "common/synthetic_weight.h"
#include "parallel/local_communicator.h"
#include "runtime/checkpoint/synthetic.h"
#include "runtime/checkpoint/tensor_catalog.h"

namespace sdar {
namespace {

constexpr int64_t kPageSize = 64;
constexpr size_t kReadBytes = size_t{1} << 30;
// Runs of a pass on a GPU before the timed ones: the first of a shape chooses its algorithms.
constexpr int kDeviceWarmUps = 3;

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

}  // namespace

absl::StatusOr<std::unique_ptr<ForwardBench>> ForwardBench::Create(const BenchOptions& options,
                                                                   const Limits& limits,
                                                                   const Progress& progress) {
  auto bench = std::unique_ptr<ForwardBench>(new ForwardBench());
  bench->options_ = options;
  bench->limits_ = limits;
  SDAR_ASSIGN_OR_RETURN(bench->config_, SyntheticConfig(options.shape));
  SDAR_ASSIGN_OR_RETURN(bench->format_, ParseWeightFormat(options.weights));
  SDAR_ASSIGN_OR_RETURN(bench->routing_, ParseRouting(options.routing));
  if (bench->routing_ != Routing::kUniform && bench->config_.num_experts == 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("--routing=", options.routing, ": the shape has no experts"));
  }
  bench->communicator_ = MakeSingleCommunicator();
  const DeviceChoice choice = {options.device, options.dtype, options.graphs == "on",
                               options.instruction_set, options.threads};
  SDAR_ASSIGN_OR_RETURN(bench->device_, OpenBenchDevice(choice, *bench->communicator_));
  if (options.profile) {
    bench->profiled_ = std::make_unique<ProfiledBackend>(*bench->device_.device.backend);
  }
  bench->backend().BindThread();
  if (bench->on_cpu()) {
    SDAR_ASSIGN_OR_RETURN(bench->memory_,
                          MemorySpeed::Create(bench->device_.cpu->cores, kReadBytes));
  }
  SDAR_RETURN_IF_ERROR(bench->MakeModel(progress));
  return bench;
}

Backend& ForwardBench::backend() {
  if (profiled_ != nullptr) return *profiled_;
  return *device_.device.backend;
}

absl::Status ForwardBench::MakeModel(const Progress& progress) {
  ModelConfig config = config_;
  if (options_.layers > 0) config.num_layers = std::min(config.num_layers, options_.layers);
  layers_run_ = config.num_layers;
  const SyntheticSource source(config, routing_);
  const auto find = [&](absl::string_view name) { return source.Find(name); };
  SDAR_ASSIGN_OR_RETURN(ShardedWeights weights,
                        LoadShardedWeights(config, find, {1, 0, format_}, backend(), progress));
  if (on_cpu()) {
    const int64_t rows = std::min(2 * config.intermediate_size, config.vocab_size);
    const WeightPiece widest = {nullptr, DType::kBFloat16, rows, config.hidden_size,
                                SyntheticElements{}};
    SDAR_ASSIGN_OR_RETURN(matmul_weight_, backend().Pack({widest}, config.hidden_size, format_));
  }
  ModelOptions model;
  model.whole_last_layer = IsScaled();
  model.max_rows = limits_.max_rows;
  model.kv_cache = {PagesOfOne() * limits_.max_sequences, kPageSize};
  SDAR_ASSIGN_OR_RETURN(
      model_, SdarModel::Create(config, std::move(weights), model, backend(), *communicator_));
  return on_cpu() ? WriteEveryPage() : backend().Synchronize();
}

// Memory that was never written is one page of zeros, which the caches hold: a row goes into every
// 4 KiB of every head, so that committed pages are read from memory.
absl::Status ForwardBench::WriteEveryPage() {
  constexpr int64_t kMemoryPage = 4096;
  const int64_t row_bytes =
      config_.head_dim * static_cast<int64_t>(SizeOf(device_.device.backend->act_dtype()));
  const int64_t spacing = std::max<int64_t>(1, kMemoryPage / row_bytes);
  const int64_t slots = PagesOfOne() * limits_.max_sequences * kPageSize;
  for (int64_t slot = 0; slot < slots;) {
    StepRows step;
    for (; slot < slots && std::ssize(step.token_ids) < limits_.max_rows; slot += spacing) {
      step.positions.push_back(static_cast<int32_t>(step.token_ids.size()));
      step.token_ids.push_back(0);
      step.kv_slots.push_back(slot);
    }
    AttentionSegment segment;
    segment.num_rows = static_cast<int32_t>(step.token_ids.size());
    segment.block_length = 1;
    step.segments.push_back(segment);
    step.page_table.push_back(0);
    SDAR_RETURN_IF_ERROR(TimeOnce(step).status());
  }
  return backend().Synchronize();
}

// The embedding is the largest matrix there is.
absl::StatusOr<PackSpeed> ForwardBench::TimePacking() {
  std::vector<BFloat16> values(static_cast<size_t>(config_.vocab_size * config_.hidden_size));
  FillSynthetic({}, values.size(), values.data());
  const WeightPiece widest = {values.data(), DType::kBFloat16, config_.vocab_size,
                              config_.hidden_size};
  const double bytes = static_cast<double>(values.size()) * 2;
  std::vector<double> packing, copying;
  for (int i = 0; i < options_.repeats; ++i) {
    const absl::Time start = absl::Now();
    SDAR_RETURN_IF_ERROR(backend().Pack({widest}, config_.hidden_size, format_).status());
    SDAR_RETURN_IF_ERROR(backend().Synchronize());
    packing.push_back(bytes / absl::ToDoubleSeconds(absl::Now() - start));
    if (!on_cpu()) continue;
    SDAR_ASSIGN_OR_RETURN(const double copied, memory_->Copy());
    copying.push_back(copied);
  }
  return PackSpeed{Median(packing), on_cpu() ? Median(copying) : 0};
}

int64_t ForwardBench::PagesOfOne() const {
  return (options_.context + limits_.max_rows_of_one + kPageSize - 1) / kPageSize;
}

// Rows at the context's end, rounded down to whole blocks. What the committed pages hold is zeros
// mostly, which take as long to read as any K/V.
StepRows ForwardBench::MakeStep(const PassShape& shape, bool with_logits) const {
  const int64_t first = options_.context / options_.block_length * options_.block_length;
  StepRows step;
  for (int64_t s = 0; s < shape.sequences; ++s) {
    AttentionSegment segment;
    segment.first_row = static_cast<int32_t>(step.token_ids.size());
    segment.num_rows = static_cast<int32_t>(shape.rows);
    segment.first_position = static_cast<int32_t>(first);
    segment.block_length = static_cast<int32_t>(options_.block_length);
    segment.page_offset = static_cast<int32_t>(step.page_table.size());
    step.segments.push_back(segment);
    const int64_t first_page = s * PagesOfOne();
    for (int64_t p = 0; p < PagesOfOne(); ++p) {
      step.page_table.push_back(static_cast<int32_t>(first_page + p));
    }
    for (int64_t r = 0; r < shape.rows; ++r) {
      const int64_t position = first + r;
      if (with_logits && r >= shape.rows - shape.logit_rows) {
        step.logit_rows.push_back(static_cast<int32_t>(step.token_ids.size()));
        LogitRowSpec& spec = step.logit_specs.emplace_back();
        spec.draws = !options_.greedy;
        spec.draw_key = {static_cast<uint64_t>(s), static_cast<uint32_t>(position), 0};
      }
      step.token_ids.push_back(static_cast<TokenId>((s * 131 + r * 7) % config_.vocab_size));
      step.positions.push_back(static_cast<int32_t>(position));
      step.kv_slots.push_back(r < shape.rows_to_write ? first_page * kPageSize + position : -1);
    }
  }
  return step;
}

absl::StatusOr<double> ForwardBench::TimeOnce(const StepRows& step) {
  const absl::Time start = absl::Now();
  SDAR_RETURN_IF_ERROR(model_->Forward(step).status());
  return absl::ToDoubleMilliseconds(absl::Now() - start);
}

// Where not all layers run, each computes all rows and a pass without logits is timed too: the
// layers' part is scaled, the vocabulary's is not.
absl::StatusOr<PassTimes> ForwardBench::Time(const PassShape& shape) {
  const StepRows step = MakeStep(shape, true);
  const StepRows layers_only = MakeStep(shape, false);
  const double factor = static_cast<double>(config_.num_layers) / layers_run_;
  for (int i = 0; i < (on_cpu() ? 1 : kDeviceWarmUps); ++i) {
    SDAR_RETURN_IF_ERROR(TimeOnce(step).status());
  }
  if (on_cpu()) memory_->Read();
  std::vector<double> times, reads;
  for (int i = 0; i < options_.repeats; ++i) {
    SDAR_ASSIGN_OR_RETURN(double ms, TimeOnce(step));
    if (IsScaled()) {
      SDAR_ASSIGN_OR_RETURN(const double layers_ms, TimeOnce(layers_only));
      ms += (factor - 1) * layers_ms;
    }
    times.push_back(ms);
    if (on_cpu()) reads.push_back(memory_->Read());
  }
  PassTimes out;
  out.shape = shape;
  out.median_ms = Median(times);
  out.min_ms = *std::min_element(times.begin(), times.end());
  out.read_bytes = WeightBytesRead(shape) + KvBytesRead(shape);
  if (on_cpu()) out.plain_bytes_per_s = Median(reads);
  out.expected_experts = ExpectedExperts(config_, routing_, shape.sequences * shape.rows);
  if (profiled_ != nullptr) {
    SDAR_ASSIGN_OR_RETURN(out.profile, Profile(step));
  }
  return out;
}

absl::StatusOr<std::vector<ProfileEntry>> ForwardBench::Profile(const StepRows& step) {
  profiled_->Reset();
  for (int i = 0; i < options_.repeats; ++i) SDAR_RETURN_IF_ERROR(TimeOnce(step).status());
  std::vector<ProfileEntry> profile = profiled_->Entries();
  for (ProfileEntry& entry : profile) {
    entry.calls /= options_.repeats;
    entry.weight_bytes /= options_.repeats;
    entry.time /= options_.repeats;
  }
  return profile;
}

MatMulSpeed ForwardBench::TimeMatMul(int64_t rows) {
  const int64_t cols = matmul_weight_.cols;
  std::vector<float> x(static_cast<size_t>(rows * cols), 0);
  std::vector<float> y(static_cast<size_t>(rows * matmul_weight_.rows));
  const DType act = backend().act_dtype();
  if (act == DType::kBFloat16) {
    ConvertToBFloat16(std::vector<float>(x.size(), 0.5f).data(), x.size(),
                      reinterpret_cast<BFloat16*>(x.data()));
  } else {
    std::fill(x.begin(), x.end(), 0.5f);
  }
  const TensorView in = MakeView(x.data(), act, rows, cols);
  const TensorView out = MakeView(y.data(), DType::kFloat32, rows, matmul_weight_.rows);
  std::vector<double> speeds, peaks;
  for (int i = -1; i < options_.repeats; ++i) {
    const absl::Time start = absl::Now();
    backend().Run(op::MatMul{matmul_weight_, in, out});
    const double seconds = absl::ToDoubleSeconds(absl::Now() - start);
    const double work = 2.0 * static_cast<double>(rows) * static_cast<double>(cols) *
                        static_cast<double>(matmul_weight_.rows);
    if (i < 0) continue;
    speeds.push_back(work / seconds / 1e9);
    peaks.push_back(MeasurePeak(device_.cpu->instruction_set, TypeOfPeak(), device_.cpu->cores) /
                    1e9);
  }
  return {rows, Median(speeds), Median(peaks)};
}

PeakOf ForwardBench::TypeOfPeak() const {
  if (format_ == WeightFormat::kInt8) return PeakOf::kInt8;
  return device_.device.backend->act_dtype() == DType::kBFloat16 ? PeakOf::kBFloat16
                                                                 : PeakOf::kFloat32;
}

double ForwardBench::WeightBytesRead(const PassShape& shape) const {
  const double element = format_ == WeightFormat::kInt8
                             ? 1.0
                             : static_cast<double>(SizeOf(device_.device.backend->act_dtype()));
  const double touched = ExpectedExperts(config_, routing_, shape.sequences * shape.rows) /
                         std::max(1, config_.num_experts);
  double bytes = 0;
  for (const TensorSpec& spec : ExpectedTensors(config_)) {
    if (spec.name == kEmbedTokensName || spec.name == kLmHeadName) continue;
    if (EndsWithKeysAndValues(shape) && FollowsLastAttention(spec.name)) continue;
    double size = element;
    for (int64_t n : spec.shape) size *= static_cast<double>(n);
    bytes += spec.name.find(".experts.") != std::string::npos ? size * touched : size;
  }
  if (shape.logit_rows > 0) {
    bytes += element * static_cast<double>(config_.vocab_size * config_.hidden_size);
  }
  return bytes;
}

double ForwardBench::KvBytesRead(const PassShape& shape) const {
  const ShardPlan whole = PlanShard(config_, 1, 0);
  const double all =
      static_cast<double>(shape.sequences * options_.context *
                          KvBytesPerToken(config_, whole, device_.device.backend->act_dtype()));
  return EndsWithKeysAndValues(shape) ? all * (config_.num_layers - 1) / config_.num_layers : all;
}

bool ForwardBench::IsScaled() const { return layers_run_ < config_.num_layers; }

bool ForwardBench::EndsWithKeysAndValues(const PassShape& shape) const {
  return shape.logit_rows == 0 && !IsScaled();
}

bool ForwardBench::FollowsLastAttention(const std::string& tensor) const {
  const std::string layer = absl::StrCat("model.layers.", config_.num_layers - 1, ".");
  if (tensor == kFinalNormName) return true;
  if (!absl::StartsWith(tensor, layer)) return false;
  return absl::StrContains(tensor, ".mlp.") || absl::StrContains(tensor, ".o_proj.") ||
         absl::StrContains(tensor, ".post_attention_layernorm.");
}

}  // namespace sdar
