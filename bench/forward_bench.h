// SPDX-License-Identifier: Apache-2.0
// Times forward passes of one model shape on the CPU backend, alternating with plain reads of
// memory.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

#include "bench/arithmetic_peak.h"
#include "bench/bench_options.h"
#include "bench/memory_speed.h"
#include "bench/profiled_backend.h"
#include "bench/synthetic_source.h"
#include "kernels/cpu/cpu_backend.h"
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
  double plain_bytes_per_s = 0;       // median of the reads between the passes
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

// Packing of the largest weight, in turn with a plain copy into new memory; bytes of source per
// second.
struct PackSpeed {
  double bytes_per_s = 0;        // median
  double plain_bytes_per_s = 0;  // median
};

class ForwardBench {
 public:
  struct Limits {
    int64_t max_rows = 0;  // of a pass, over all sequences
    int64_t max_sequences = 0;
    int64_t max_rows_of_one = 0;
  };

  // Makes weights and memory, and pins the calling thread, which must make all further calls.
  static absl::StatusOr<std::unique_ptr<ForwardBench>> Create(const BenchOptions& options,
                                                              const Limits& limits,
                                                              const Progress& progress);

  absl::StatusOr<PassTimes> Time(const PassShape& shape);
  // The dense weight of most columns times `rows` rows.
  MatMulSpeed TimeMatMul(int64_t rows);
  absl::StatusOr<PackSpeed> TimePacking();

  std::string Description() const { return backend_->Description(); }
  // The whole model, also where fewer layers run.
  const ModelConfig& config() const { return config_; }
  int layers_run() const { return layers_run_; }

 private:
  ForwardBench() = default;

  StepRows MakeStep(const PassShape& shape, bool with_logits) const;
  absl::StatusOr<double> TimeOnce(const StepRows& step);
  double WeightBytesRead(const PassShape& shape) const;
  double KvBytesRead(const PassShape& shape) const;
  int64_t PagesOfOne() const;
  absl::Status MakeModel(const Progress& progress);
  absl::StatusOr<PackedWeight> PackWidest(int64_t rows);
  PeakOf TypeOfPeak() const;

  BenchOptions options_;
  Limits limits_;
  ModelConfig config_;
  int layers_run_ = 0;
  CpuBackendOptions cpu_;
  WeightFormat format_ = WeightFormat::kAct;
  std::unique_ptr<CpuBackend> cpu_backend_;
  std::unique_ptr<ProfiledBackend> backend_;
  std::unique_ptr<SyntheticSource> source_;
  std::unique_ptr<Communicator> communicator_;
  std::unique_ptr<SdarModel> model_;
  PackedWeight matmul_weight_;
  std::unique_ptr<MemorySpeed> memory_;
};

}  // namespace sdar
