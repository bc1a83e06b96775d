// SPDX-License-Identifier: Apache-2.0
// Times forward passes of one model shape on one device; on the CPU alternating with plain reads of
// memory.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

#include "bench/device/arithmetic_peak.h"
#include "bench/device/bench_device.h"
#include "bench/device/memory_speed.h"
#include "bench/forward/bench_options.h"
#include "bench/forward/profiled_backend.h"
#include "bench/forward/synthetic_source.h"
#include "parallel/communicator.h"
#include "runtime/model/sdar_model.h"

namespace sdar {

// One kind of pass: every sequence brings `rows` rows after `context` committed positions.
struct PassShape {
  int64_t sequences = 1;
  int64_t rows = 0;           // of each sequence
  int64_t logit_rows = 0;     // the last ones of each sequence
  int64_t rows_to_write = 0;  // the first ones of each sequence whose K/V go to pages
};

struct PassTimes {
  PassShape shape;
  double median_ms = 0;  // scaled to all layers
  double min_ms = 0;
  double read_bytes = 0;              // weights and K/V of one pass, all layers
  double plain_bytes_per_s = 0;       // median of the reads between the passes; 0: not the CPU
  double expected_experts = 0;        // that the rows of one layer choose together; 0: dense
  std::vector<ProfileEntry> profile;  // of one pass over the layers that run, if asked for

  double bytes_per_s() const { return read_bytes / median_ms * 1000; }
  double part_of_plain_read() const { return bytes_per_s() / plain_bytes_per_s; }
};

// One product, and what the arithmetic alone could have done, measured in turn with it.
struct MatMulSpeed {
  int64_t rows = 0;
  double gflops = 0;       // median
  double peak_gflops = 0;  // median; 0: not known for this instruction set
};

// Packing of the largest weight from host memory, in turn with a plain copy into new memory; bytes
// of source per second.
struct PackSpeed {
  double bytes_per_s = 0;        // median
  double plain_bytes_per_s = 0;  // median; 0: not the CPU
};

class ForwardBench {
 public:
  struct Limits {
    int64_t max_rows = 0;  // of a pass, over all sequences
    int64_t max_sequences = 0;
    int64_t max_rows_of_one = 0;
  };

  // Makes weights and memory, and binds the calling thread, which must make all further calls.
  static absl::StatusOr<std::unique_ptr<ForwardBench>> Create(const BenchOptions& options,
                                                              const Limits& limits,
                                                              const Progress& progress);

  absl::StatusOr<PassTimes> Time(const PassShape& shape);
  // A dense weight of most columns times `rows` rows. Requires: on_cpu().
  MatMulSpeed TimeMatMul(int64_t rows);
  absl::StatusOr<PackSpeed> TimePacking();

  std::string Description() const { return device_.device.backend->Description(); }
  bool on_cpu() const { return device_.cpu.has_value(); }
  // The whole model, also where fewer layers run.
  const ModelConfig& config() const { return config_; }
  int layers_run() const { return layers_run_; }

 private:
  ForwardBench() = default;

  StepRows MakeStep(const PassShape& shape, bool with_logits) const;
  absl::StatusOr<double> TimeOnce(const StepRows& step);
  // Of one run, on average.
  absl::StatusOr<std::vector<ProfileEntry>> Profile(const StepRows& step);
  double WeightBytesRead(const PassShape& shape) const;
  double KvBytesRead(const PassShape& shape) const;
  bool IsScaled() const;
  // Whether a pass ends with the last layer's K/V, as it does without logits.
  bool EndsWithKeysAndValues(const PassShape& shape) const;
  bool FollowsLastAttention(const std::string& tensor) const;
  int64_t PagesOfOne() const;
  absl::Status MakeModel(const Progress& progress);
  absl::Status WriteEveryPage();
  // Forward passes are timed on the device itself, unless their time is told apart.
  Backend& backend();
  PeakOf TypeOfPeak() const;

  BenchOptions options_;
  Limits limits_;
  ModelConfig config_;
  int layers_run_ = 0;
  WeightFormat format_ = WeightFormat::kAct;
  Routing routing_ = Routing::kUniform;
  std::unique_ptr<Communicator> communicator_;
  BenchDevice device_;
  std::unique_ptr<ProfiledBackend> profiled_;  // with --profile
  std::unique_ptr<SdarModel> model_;
  PackedWeight matmul_weight_;           // on the CPU
  std::unique_ptr<MemorySpeed> memory_;  // on the CPU
};

}  // namespace sdar
