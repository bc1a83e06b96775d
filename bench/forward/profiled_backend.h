// SPDX-License-Identifier: Apache-2.0
// A backend that passes every call on to another one and notes how long it took.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"

#include "kernels/backend.h"

namespace sdar {

// One operation of a profile; multiplications are told apart by the weight's shape.
struct ProfileEntry {
  std::string operation;
  int64_t calls = 0;
  absl::Duration time;
  int64_t weight_bytes = 0;  // that the calls read, as the device keeps them
};

// Forwards to another backend and waits for each call, since a device may only have enqueued it.
// Requires: that backend outlives this one.
class ProfiledBackend : public Backend {
 public:
  explicit ProfiledBackend(Backend& backend) : backend_(backend) {}

  // What was called since the last Reset, slowest first.
  std::vector<ProfileEntry> Entries() const;
  void Reset() { entries_.clear(); }

  std::string Description() const override { return backend_.Description(); }
  DType act_dtype() const override { return backend_.act_dtype(); }
  void BindThread() override { backend_.BindThread(); }
  absl::StatusOr<DeviceBuffer> Allocate(size_t size_bytes) override {
    return backend_.Allocate(size_bytes);
  }
  void CopyToDevice(const void* host, size_t size_bytes, void* device) override;
  void CopyToHost(const void* device, size_t size_bytes, void* host) override;
  absl::Status Synchronize() override {
    status_.Update(backend_.Synchronize());
    return std::exchange(status_, absl::OkStatus());
  }
  absl::StatusOr<PackedWeight> Pack(absl::Span<const WeightPiece> pieces, int64_t cols,
                                    WeightFormat format) override {
    return backend_.Pack(pieces, cols, format);
  }
  absl::StatusOr<DeviceBuffer> MakeTable(const WeightPiece& piece, int64_t cols) override {
    return backend_.MakeTable(piece, cols);
  }
  void Run(const Operation& operation) override;

 private:
  template <typename Call>
  void Time(const std::string& operation, int64_t weight_bytes, Call call);

  Backend& backend_;
  std::map<std::string, ProfileEntry> entries_;
  absl::Status status_;  // what failed since the last Synchronize
};

}  // namespace sdar
