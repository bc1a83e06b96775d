// SPDX-License-Identifier: Apache-2.0
// Runs under mpirun, a GPU per rank or one for all: the conformance checks over NCCL, whose data
// passes through the device's memory.
#include "parallel/nccl_communicator.h"

#include <cstdlib>

#include "parallel/mpi_communicator.h"
#include "tests/parallel/communicator_conformance.h"
#include "tests/status_matchers.h"

namespace sdar {
namespace {

MpiCommunicator* world = nullptr;  // set by main before the tests run

// A copy of host memory on the device, for the time of a call.
class OnDevice {
 public:
  OnDevice(const void* from, int64_t size_bytes) : size_bytes_(static_cast<size_t>(size_bytes)) {
    SDAR_CHECK(cudaMalloc(&data_, size_bytes_ + 1) == cudaSuccess);
    if (from != nullptr) Copy(data_, from, cudaMemcpyHostToDevice);
  }
  ~OnDevice() { cudaFree(data_); }
  void* data() const { return data_; }
  void CopyTo(void* to) const {
    SDAR_CHECK(cudaDeviceSynchronize() == cudaSuccess);
    Copy(to, data_, cudaMemcpyDeviceToHost);
  }

 private:
  void Copy(void* to, const void* from, cudaMemcpyKind kind) const {
    if (size_bytes_ > 0) SDAR_CHECK(cudaMemcpy(to, from, size_bytes_, kind) == cudaSuccess);
  }

  void* data_ = nullptr;
  size_t size_bytes_;
};

// The NCCL communicator for data in host memory, as the checks have it.
class OverHostMemory : public Communicator {
 public:
  explicit OverHostMemory(NcclCommunicator& nccl) : nccl_(nccl) {}
  int rank() const override { return nccl_.rank(); }
  int size() const override { return nccl_.size(); }
  absl::Status AllReduceSum(float* data, int64_t count) override {
    const OnDevice copy(data, count * 4);
    const absl::Status status = nccl_.AllReduceSum(static_cast<float*>(copy.data()), count);
    copy.CopyTo(data);
    return status;
  }
  absl::Status AllGather(const void* send, absl::Span<const int64_t> bytes, void* recv) override {
    const OnDevice from(send, bytes[static_cast<size_t>(rank())]), to(nullptr, Sum(bytes));
    const absl::Status status = nccl_.AllGather(from.data(), bytes, to.data());
    to.CopyTo(recv);
    return status;
  }
  absl::Status AllToAll(const void* send, absl::Span<const int64_t> send_bytes, void* recv,
                        absl::Span<const int64_t> recv_bytes) override {
    const OnDevice from(send, Sum(send_bytes)), to(nullptr, Sum(recv_bytes));
    const absl::Status status = nccl_.AllToAll(from.data(), send_bytes, to.data(), recv_bytes);
    to.CopyTo(recv);
    return status;
  }
  absl::Status AllToAllEqual(const void* send, int64_t bytes, void* recv) override {
    const OnDevice from(send, bytes * size()), to(nullptr, bytes * size());
    const absl::Status status = nccl_.AllToAllEqual(from.data(), bytes, to.data());
    to.CopyTo(recv);
    return status;
  }
  absl::Status Broadcast(void* data, int64_t size_bytes, int root) override {
    const OnDevice copy(data, size_bytes);
    const absl::Status status = nccl_.Broadcast(copy.data(), size_bytes, root);
    copy.CopyTo(data);
    return status;
  }
  absl::Status Barrier() override { return nccl_.Barrier(); }
  void Abort(absl::string_view reason) override { nccl_.Abort(reason); }

 private:
  static int64_t Sum(absl::Span<const int64_t> values) {
    return std::accumulate(values.begin(), values.end(), int64_t{0});
  }
  NcclCommunicator& nccl_;
};

// The order in which NCCL adds is its own; everything else must hold.
bool HoldsForNccl(const NamedCheck& check) {
  const std::string name = check.name;
  return name.find("RankOrder") == std::string::npos &&
         name.find("DependOnCount") == std::string::npos;
}

TEST(NcclCommunicatorTest, DoesWhatACommunicatorMust) {
  int devices = 0;
  if (cudaGetDeviceCount(&devices) != cudaSuccess || devices == 0) {
    GTEST_SKIP() << "this machine has no CUDA device";
  }
  ASSERT_EQ(cudaSetDevice(world->rank() % devices), cudaSuccess);
  cudaStream_t stream = nullptr;
  ASSERT_EQ(cudaStreamCreate(&stream), cudaSuccess);
  {
    SDAR_ASSERT_OK_AND_ASSIGN(const auto nccl, NcclCommunicator::Create(*world, stream));
    OverHostMemory communicator(*nccl);
    for (const NamedCheck& check : kConformanceChecks) {
      if (!HoldsForNccl(check)) continue;
      EXPECT_THAT(check.check(communicator), IsOk()) << check.name;
    }
  }
  cudaStreamDestroy(stream);
}

}  // namespace
}  // namespace sdar

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  // So that ranks may share a device (NCCL takes them for two hosts then).
  setenv("NCCL_HOSTID", std::getenv("OMPI_COMM_WORLD_RANK"), 0);
  setenv("NCCL_SOCKET_IFNAME", "lo", 0);
  setenv("NCCL_IB_DISABLE", "1", 0);
  auto session = sdar::MpiSession::Start();
  if (!session.ok()) {
    std::fprintf(stderr, "%s\n", session.status().ToString().c_str());
    return 1;
  }
  auto communicator = sdar::MpiCommunicator::World();
  if (!communicator.ok()) {
    std::fprintf(stderr, "%s\n", communicator.status().ToString().c_str());
    return 1;
  }
  sdar::world = communicator->get();
  return RUN_ALL_TESTS();
}
