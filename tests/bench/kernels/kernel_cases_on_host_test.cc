// SPDX-License-Identifier: Apache-2.0
// The cases of the kernel sweep over the CUDA backend, whose kernels run on the host here: what is
// captured neither waits nor allocates, and every call fits its kernel.
#include <set>

#include "gtest/gtest.h"

#include "bench/kernels/kernel_cases.h"
#include "bench/kernels/kernel_timing.h"
#include "kernels/cuda/cuda_backend.h"
#include "runtime/checkpoint/synthetic.h"

namespace sdar {
namespace {

TEST(KernelCasesOnHostTest, EveryCaseIsCapturedAndLaunched) {
  auto backend = CudaBackend::Create({DType::kBFloat16, 0});
  ASSERT_TRUE(backend.ok()) << backend.status();
  (*backend)->BindThread();
  KernelOptions options;
  options.rows = std::string("3,20");
  options.batch = std::string("2");
  options.context = std::string("9,70");
  options.block_length = std::string("4");
  options.repeats = 1;
  options.cold_megabytes = 1;
  const auto sweep = MakeKernelSweep(options);
  ASSERT_TRUE(sweep.ok()) << sweep.status();
  std::set<std::string> seen;
  int64_t num_cases = 0;
  for (const char* folder : {"dense", "moe"}) {
    const auto config =
        SyntheticConfig(std::string(SDAR_SOURCE_DIR) + "/tests/golden/" + folder + "/config.json");
    ASSERT_TRUE(config.ok()) << config.status();
    KernelCases cases(*config, *sweep, **backend);
    const auto time = [&](const KernelCase& which) -> absl::Status {
      ++num_cases;
      seen.insert(which.kernel);
      // Two batches that are not timed, the second of which is captured, and one of the graph
      // alone.
      return TimeCalls(**backend, {1, 1e-9, which.waits ? -1 : num_cases}, which.run).status();
    };
    const absl::Status status = cases.ForEach(time);
    EXPECT_TRUE(status.ok()) << status;
  }
  EXPECT_EQ(seen.size(), KernelNames().size());
}

}  // namespace
}  // namespace sdar
