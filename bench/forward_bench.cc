// SPDX-License-Identifier: Apache-2.0
#include "bench/forward_bench.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/time/clock.h"
#include "absl/time/time.h"

#include "bench/arithmetic_peak.h"
#include "bench/synthetic_source.h"
#include "common/status_macros.h"
#include "parallel/local_communicator.h"
#include "runtime/model/synthetic.h"
#include "runtime/model/tensor_catalog.h"

namespace sdar {
namespace {

constexpr int64_t kPageSize = 64;
constexpr size_t kReadBytes = size_t{1} << 30;

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

// The part of the experts that at least one of `rows` rows chooses, were every choice equally
// likely.
double ExpertsTouched(const ModelConfig& config, int64_t rows) {
  const double missed = 1 - static_cast<double>(config.num_experts_per_token) / config.num_experts;
  return 1 - std::pow(missed, static_cast<double>(rows));
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
  CpuBackendOptions& cpu = bench->cpu_;
  SDAR_ASSIGN_OR_RETURN(cpu.act_dtype, ParseDType(options.dtype));
  SDAR_ASSIGN_OR_RETURN(cpu.instruction_set, ParseInstructionSet(options.instruction_set));
  cpu.cores = ShareCores(FindAllowedCores().cpus, 1, 0, options.threads);
  SDAR_ASSIGN_OR_RETURN(bench->cpu_backend_, CpuBackend::Create(cpu));
  bench->backend_ = std::make_unique<ProfiledBackend>(*bench->cpu_backend_);
  bench->backend_->BindThread();
  SDAR_ASSIGN_OR_RETURN(bench->memory_, MemorySpeed::Create(cpu.cores, kReadBytes));
  SDAR_RETURN_IF_ERROR(bench->MakeModel(progress));
  return bench;
}

absl::Status ForwardBench::MakeModel(const Progress& progress) {
  ModelConfig config = config_;
  if (options_.layers > 0) config.num_layers = std::min(config.num_layers, options_.layers);
  layers_run_ = config.num_layers;
  source_ = std::make_unique<SyntheticSource>(config);
  const auto find = [&](absl::string_view name) { return source_->Find(name); };
  SDAR_ASSIGN_OR_RETURN(ShardedWeights weights,
                        LoadShardedWeights(config, find, {1, 0, format_}, *backend_, progress));
  SDAR_ASSIGN_OR_RETURN(matmul_weight_, PackWidest(2 * config.intermediate_size));
  ModelOptions model;
  model.max_rows = limits_.max_rows;
  model.kv_cache = {PagesOfOne() * limits_.max_sequences, kPageSize};
  communicator_ = MakeSingleCommunicator();
  SDAR_ASSIGN_OR_RETURN(
      model_, SdarModel::Create(config, std::move(weights), model, *backend_, *communicator_));
  return absl::OkStatus();
}

// At most `rows` rows of the embedding, which is the largest matrix there is.
absl::StatusOr<PackedWeight> ForwardBench::PackWidest(int64_t rows) {
  SDAR_ASSIGN_OR_RETURN(const TensorData widest, source_->Find(kEmbedTokensName));
  return backend_->Pack(
      {{widest.bytes.data(), widest.dtype, std::min(rows, widest.shape[0]), config_.hidden_size}},
      config_.hidden_size, format_);
}

absl::StatusOr<PackSpeed> ForwardBench::TimePacking() {
  const double bytes = static_cast<double>(config_.vocab_size * config_.hidden_size) * 2;
  std::vector<double> packing, copying;
  for (int i = 0; i < options_.repeats; ++i) {
    const absl::Time start = absl::Now();
    SDAR_RETURN_IF_ERROR(PackWidest(config_.vocab_size).status());
    packing.push_back(bytes / absl::ToDoubleSeconds(absl::Now() - start));
    SDAR_ASSIGN_OR_RETURN(const double copied, memory_->Copy());
    copying.push_back(copied);
  }
  return PackSpeed{Median(packing), Median(copying)};
}

int64_t ForwardBench::PagesOfOne() const {
  return (options_.context + limits_.max_rows_of_one + kPageSize - 1) / kPageSize;
}

// Rows at the context's end, rounded down to whole blocks. What the committed pages hold is zeros,
// which take as long to read as any K/V.
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
        spec.draws = true;  // what a sampled row costs is the most
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

// Where not all layers run, a pass without logits is timed too: the layers' part is scaled, the
// vocabulary's is not.
absl::StatusOr<PassTimes> ForwardBench::Time(const PassShape& shape) {
  const StepRows step = MakeStep(shape, true);
  const StepRows layers_only = MakeStep(shape, false);
  const bool scaled = layers_run_ < config_.num_layers;
  const double factor = static_cast<double>(config_.num_layers) / layers_run_;
  SDAR_RETURN_IF_ERROR(TimeOnce(step).status());
  memory_->Read();
  std::vector<double> times, reads;
  for (int i = 0; i < options_.repeats; ++i) {
    SDAR_ASSIGN_OR_RETURN(double ms, TimeOnce(step));
    if (scaled) {
      SDAR_ASSIGN_OR_RETURN(const double layers_ms, TimeOnce(layers_only));
      ms += (factor - 1) * layers_ms;
    }
    times.push_back(ms);
    reads.push_back(memory_->Read());
  }
  PassTimes out;
  out.shape = shape;
  out.median_ms = Median(times);
  out.min_ms = *std::min_element(times.begin(), times.end());
  out.read_bytes = WeightBytesRead(shape) + KvBytesRead(shape);
  out.plain_bytes_per_s = Median(reads);
  if (options_.profile) {
    backend_->Reset();
    for (int i = 0; i < options_.repeats; ++i) SDAR_RETURN_IF_ERROR(TimeOnce(step).status());
    out.profile = backend_->Entries();
    for (ProfileEntry& entry : out.profile) {
      entry.calls /= options_.repeats;
      entry.weight_bytes /= options_.repeats;
      entry.time /= options_.repeats;
    }
  }
  return out;
}

MatMulSpeed ForwardBench::TimeMatMul(int64_t rows) {
  const int64_t cols = matmul_weight_.cols;
  std::vector<float> x(static_cast<size_t>(rows * cols), 0);
  std::vector<float> y(static_cast<size_t>(rows * matmul_weight_.rows));
  if (backend_->act_dtype() == DType::kBFloat16) {
    ConvertToBFloat16(std::vector<float>(x.size(), 0.5f).data(), x.size(),
                      reinterpret_cast<BFloat16*>(x.data()));
  } else {
    std::fill(x.begin(), x.end(), 0.5f);
  }
  const TensorView in = MakeView(x.data(), backend_->act_dtype(), rows, cols);
  const TensorView out = MakeView(y.data(), DType::kFloat32, rows, matmul_weight_.rows);
  std::vector<double> speeds, peaks;
  for (int i = -1; i < options_.repeats; ++i) {
    const absl::Time start = absl::Now();
    backend_->MatMul(matmul_weight_, in, out);
    const double seconds = absl::ToDoubleSeconds(absl::Now() - start);
    const double work = 2.0 * static_cast<double>(rows) * static_cast<double>(cols) *
                        static_cast<double>(matmul_weight_.rows);
    if (i < 0) continue;
    speeds.push_back(work / seconds / 1e9);
    peaks.push_back(MeasurePeak(cpu_.instruction_set, TypeOfPeak(), cpu_.cores) / 1e9);
  }
  return {rows, Median(speeds), Median(peaks)};
}

PeakOf ForwardBench::TypeOfPeak() const {
  if (format_ == WeightFormat::kInt8) return PeakOf::kInt8;
  return backend_->act_dtype() == DType::kBFloat16 ? PeakOf::kBFloat16 : PeakOf::kFloat32;
}

double ForwardBench::WeightBytesRead(const PassShape& shape) const {
  const double element =
      format_ == WeightFormat::kInt8 ? 1.0 : static_cast<double>(SizeOf(backend_->act_dtype()));
  const double touched =
      config_.num_experts > 0 ? ExpertsTouched(config_, shape.sequences * shape.rows) : 0;
  double bytes = 0;
  for (const TensorSpec& spec : ExpectedTensors(config_)) {
    if (spec.name == kEmbedTokensName || spec.name == kLmHeadName) continue;
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
  return static_cast<double>(shape.sequences * options_.context *
                             KvBytesPerToken(config_, whole, backend_->act_dtype()));
}

}  // namespace sdar
