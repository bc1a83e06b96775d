// SPDX-License-Identifier: Apache-2.0
#include "bench/kernels/kernel_memory.h"

#include <algorithm>

#include "common/status_macros.h"
#include "runtime/checkpoint/synthetic.h"

namespace sdar {
namespace {

// An odd number, so that the rows of a matrix differ.
constexpr size_t kDistinctValues = (size_t{1} << 22) + 1;
constexpr int64_t kMostCopies = 1024;

}  // namespace

int64_t ColdCopies(int64_t bytes, int64_t cold_bytes) {
  return std::clamp<int64_t>((cold_bytes + bytes - 1) / std::max<int64_t>(bytes, 1), 1,
                             kMostCopies);
}

KernelMemory::KernelMemory(Backend& backend) : backend_(backend), values_(kDistinctValues) {
  FillSyntheticTensor(0, "kernels", 0, absl::MakeSpan(values_));
  floats_.resize(values_.size());
  ConvertToFloat(DType::kBFloat16, values_.data(), values_.size(), floats_.data());
}

absl::StatusOr<DeviceBuffer> KernelMemory::Random(int64_t count, DType dtype) {
  const size_t bytes = static_cast<size_t>(count) * SizeOf(dtype);
  SDAR_ASSIGN_OR_RETURN(DeviceBuffer buffer, backend_.Allocate(bytes));
  const void* from = dtype == DType::kFloat32 ? static_cast<const void*>(floats_.data())
                                              : static_cast<const void*>(values_.data());
  const size_t at_once = kDistinctValues * SizeOf(dtype);
  for (size_t done = 0; done < bytes; done += at_once) {
    backend_.CopyToDevice(from, std::min(at_once, bytes - done),
                          static_cast<char*>(buffer.data()) + done);
  }
  return buffer;
}

absl::StatusOr<OwnedMatrix> KernelMemory::RandomMatrix(int64_t rows, int64_t cols, DType dtype) {
  SDAR_ASSIGN_OR_RETURN(DeviceBuffer buffer, Random(rows * cols, dtype));
  const TensorView view = MakeView(buffer.data(), dtype, rows, cols);
  return OwnedMatrix{std::move(buffer), view};
}

absl::StatusOr<OwnedMatrix> KernelMemory::Matrix(int64_t rows, int64_t cols, DType dtype) {
  SDAR_ASSIGN_OR_RETURN(DeviceBuffer buffer,
                        backend_.Allocate(static_cast<size_t>(rows * cols) * SizeOf(dtype)));
  const TensorView view = MakeView(buffer.data(), dtype, rows, cols);
  return OwnedMatrix{std::move(buffer), view};
}

absl::StatusOr<PackedWeight> KernelMemory::RandomWeight(int64_t rows, int64_t cols) {
  const int64_t at_once = std::max<int64_t>(1, static_cast<int64_t>(values_.size()) / cols);
  std::vector<WeightPiece> pieces;
  for (int64_t row = 0; row < rows; row += at_once) {
    WeightPiece piece;
    piece.data = values_.data();
    piece.rows = std::min(at_once, rows - row);
    piece.row_stride = cols;
    pieces.push_back(piece);
  }
  return backend_.Pack(pieces, cols, WeightFormat::kAct);
}

absl::StatusOr<std::vector<PackedWeight>> KernelMemory::RandomWeights(int64_t rows, int64_t cols,
                                                                      int64_t cold_bytes) {
  const int64_t bytes = rows * cols * static_cast<int64_t>(SizeOf(act()));
  std::vector<PackedWeight> weights;
  for (int64_t i = ColdCopies(bytes, cold_bytes); i > 0; --i) {
    SDAR_ASSIGN_OR_RETURN(PackedWeight weight, RandomWeight(rows, cols));
    weights.push_back(std::move(weight));
  }
  return weights;
}

}  // namespace sdar
