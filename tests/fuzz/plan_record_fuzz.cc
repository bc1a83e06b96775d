// SPDX-License-Identifier: Apache-2.0
// Fuzzes what sdar-replay does with a file: an input is a record of plans, read from a file and run
// by a worker over a small model. What the worker takes must run, and give a summary for every
// masked row.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "google/protobuf/stubs/logging.h"
#include <sys/mman.h>
#include <unistd.h>

#include "common/status_macros.h"
#include "kernels/cpu/cpu_backend.h"
#include "parallel/local_communicator.h"
#include "runtime/checkpoint/synthetic.h"
#include "runtime/checkpoint/tensor_catalog.h"
#include "runtime/model/sharded_weights.h"
#include "runtime/step/plan_record.h"
#include "runtime/step/segment_rows.h"
#include "runtime/step/worker.h"

namespace {

sdar::ModelConfig SmallConfig() {
  sdar::ModelConfig config;
  config.hidden_size = 16;
  config.num_layers = 1;
  config.num_heads = 2;
  config.num_kv_heads = 1;
  config.head_dim = 8;
  config.intermediate_size = 16;
  config.vocab_size = 40;
  config.rope_theta = 1e4;
  config.rms_norm_eps = 1e-6;
  config.max_position_embeddings = 128;
  config.tie_word_embeddings = true;
  config.mask_token_id = 39;
  return config;
}

// A one-rank model with made-up weights.
struct SmallModel {
  SmallModel() {
    auto created = sdar::CpuBackend::Create({});
    SDAR_CHECK(created.ok());
    backend = *std::move(created);
    for (const sdar::TensorSpec& spec : sdar::ExpectedTensors(config)) {
      size_t size = 1;
      for (int64_t n : spec.shape) size *= static_cast<size_t>(n);
      Tensor& tensor = tensors[spec.name];
      tensor.shape = spec.shape;
      tensor.weights.resize(size);
      sdar::FillSyntheticTensor(0, spec.name, 0, absl::MakeSpan(tensor.weights));
    }
    auto weights = sdar::LoadShardedWeights(
        config, [this](absl::string_view name) { return Find(name); }, {}, *backend, {});
    SDAR_CHECK(weights.ok());
    sdar::ModelOptions options;
    options.max_rows = 64;
    options.kv_cache = {8, 16};
    auto made = sdar::SdarModel::Create(config, *std::move(weights), options, *backend, *single);
    SDAR_CHECK(made.ok());
    model = *std::move(made);
  }

  struct Tensor {
    std::vector<int64_t> shape;
    std::vector<sdar::BFloat16> weights;
  };

  absl::StatusOr<sdar::TensorData> Find(absl::string_view name) const {
    const auto found = tensors.find(name);
    if (found == tensors.end()) return absl::NotFoundError(name);
    const Tensor& tensor = found->second;
    sdar::TensorData data;
    data.shape = tensor.shape;
    data.bytes = {reinterpret_cast<const std::byte*>(tensor.weights.data()),
                  tensor.weights.size() * sizeof(tensor.weights[0])};
    return data;
  }

  const sdar::ModelConfig config = SmallConfig();
  std::map<std::string, Tensor, std::less<>> tensors;
  std::unique_ptr<sdar::Backend> backend;
  std::unique_ptr<sdar::Communicator> single = sdar::MakeSingleCommunicator();
  std::unique_ptr<sdar::SdarModel> model;
};

size_t CountMasked(const sdar::v1::StepPlan& plan) {
  size_t count = 0;
  for (const sdar::v1::Segment& segment : plan.segments()) {
    for (int row = 0; row < segment.token_ids_size(); ++row) {
      count += sdar::IsMaskedRow(segment, row) ? 1 : 0;
    }
  }
  return count;
}

void Replay(sdar::PlanRecordReader& record, sdar::SdarModel& model) {
  sdar::Worker worker(model, 4);
  while (true) {
    const auto step = record.Next();
    if (!step.ok() || !*step) return;
    const sdar::v1::StepPlan& plan = (*step)->plan();
    const auto result = worker.Execute(plan);
    if (!result.ok()) return;
    if (plan.kind() != sdar::v1::StepPlan::FORWARD) continue;
    SDAR_CHECK(result->summaries.size() == CountMasked(plan));
    const auto recorded = static_cast<size_t>((*step)->summaries_size());
    for (size_t i = 0; i < std::min(recorded, result->summaries.size()); ++i) {
      const double difference =
          sdar::Difference((*step)->summaries(static_cast<int>(i)), result->summaries[i]);
      SDAR_CHECK(difference >= 0);
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static SmallModel small;
  static const google::protobuf::LogSilencer silencer;  // damaged strings are what is looked for
  const int file = memfd_create("record", MFD_CLOEXEC);
  SDAR_CHECK(file >= 0 && write(file, data, size) == static_cast<ssize_t>(size));
  const auto record = sdar::PlanRecordReader::Open("/proc/self/fd/" + std::to_string(file));
  if (record.ok()) Replay(**record, *small.model);
  close(file);
  return 0;
}
