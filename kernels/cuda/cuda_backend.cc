// SPDX-License-Identifier: Apache-2.0
#include "kernels/cuda/cuda_backend.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"

#include "common/status_macros.h"

namespace sdar {
namespace {

constexpr size_t kStagingBytes = size_t{8} << 20;
constexpr size_t kHalfBytes = size_t{16} << 20;
// One thread waits for the storage at every page of a mapped file that is not in memory yet.
constexpr int kMostUploaders = 8;

absl::Status ToStatus(cudaError_t error, absl::string_view call) {
  if (error == cudaSuccess) return absl::OkStatus();
  const std::string text =
      absl::StrCat(call, ": ", cudaGetErrorName(error), ": ", cudaGetErrorString(error));
  return error == cudaErrorMemoryAllocation ? absl::ResourceExhaustedError(text)
                                            : absl::InternalError(text);
}

ThreadPool::Options Uploaders() {
  ThreadPool::Options options;
  const auto cores = static_cast<int>(std::thread::hardware_concurrency());
  options.num_threads = std::clamp(cores, 1, kMostUploaders);
  return options;
}

// Rows [first, first + count) of a piece as elements of `dtype`.
void ConvertRows(const WeightPiece& piece, int64_t first, int64_t count, int64_t cols, DType dtype,
                 void* out) {
  const size_t row_bytes = static_cast<size_t>(cols) * SizeOf(dtype);
  const auto stride = piece.row_stride * static_cast<int64_t>(SizeOf(piece.dtype));
  std::vector<float> wide(static_cast<size_t>(cols));
  for (int64_t r = 0; r < count; ++r) {
    const char* from = static_cast<const char*>(piece.data) + (first + r) * stride;
    char* to = static_cast<char*>(out) + static_cast<size_t>(r) * row_bytes;
    if (piece.dtype == dtype) {
      std::memcpy(to, from, row_bytes);
      continue;
    }
    ConvertToFloat(piece.dtype, from, wide.size(), wide.data());
    if (dtype == DType::kFloat32) {
      std::memcpy(to, wide.data(), row_bytes);
    } else {
      ConvertToBFloat16(wide.data(), wide.size(), reinterpret_cast<BFloat16*>(to));
    }
  }
}

}  // namespace

class CudaBackend::Pinned {
 public:
  static absl::StatusOr<std::unique_ptr<Pinned>> Create(size_t size_bytes) {
    void* data = nullptr;
    SDAR_RETURN_IF_ERROR(ToStatus(cudaMallocHost(&data, size_bytes), "cudaMallocHost"));
    return std::unique_ptr<Pinned>(new Pinned(data, size_bytes));
  }
  ~Pinned() { cudaFreeHost(data_); }
  Pinned(const Pinned&) = delete;
  Pinned& operator=(const Pinned&) = delete;

  char* data() const { return static_cast<char*>(data_); }
  size_t size_bytes() const { return size_bytes_; }

 private:
  Pinned(void* data, size_t size_bytes) : data_(data), size_bytes_(size_bytes) {}
  void* data_;
  size_t size_bytes_;
};

int CountCudaDevices() {
  int count = 0;
  return cudaGetDeviceCount(&count) == cudaSuccess ? count : 0;
}

absl::StatusOr<std::unique_ptr<CudaBackend>> CudaBackend::Create(
    const CudaBackendOptions& options) {
  if (options.act_dtype == DType::kFloat16) {
    return absl::InvalidArgumentError("act dtype: expected bfloat16 or float32, got float16");
  }
  const int count = CountCudaDevices();
  if (options.device < 0 || options.device >= count) {
    return absl::InvalidArgumentError(absl::StrCat("CUDA device: expected one of the ", count,
                                                   " there are, got ", options.device));
  }
  auto backend = std::unique_ptr<CudaBackend>(new CudaBackend(options));
  SDAR_RETURN_IF_ERROR(backend->Start());
  return backend;
}

absl::Status CudaBackend::Start() {
  SDAR_RETURN_IF_ERROR(ToStatus(cudaSetDevice(options_.device), "cudaSetDevice"));
  cudaDeviceProp properties;
  SDAR_RETURN_IF_ERROR(
      ToStatus(cudaGetDeviceProperties(&properties, options_.device), "cudaGetDeviceProperties"));
  name_ = absl::StrCat(properties.name, ", sm_", properties.major, properties.minor);
  traits_.num_multiprocessors = properties.multiProcessorCount;
#ifdef SDAR_CUDA_CODE_FOR_90A
  traits_.has_wgmma = properties.major == 9;
#endif
  SDAR_RETURN_IF_ERROR(ToStatus(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking),
                                "cudaStreamCreateWithFlags"));
  SDAR_ASSIGN_OR_RETURN(matmul_, cuda::DeviceMatMul::Create(stream_));
  captured_graphs_ = std::make_unique<cuda::CapturedGraphs>(stream_);
  SDAR_ASSIGN_OR_RETURN(staging_, Pinned::Create(kStagingBytes));
  for (int i = 0; i < 2; ++i) {
    SDAR_ASSIGN_OR_RETURN(halves_[i], Pinned::Create(kHalfBytes));
    SDAR_RETURN_IF_ERROR(
        ToStatus(cudaEventCreateWithFlags(&half_is_free_[i], cudaEventDisableTiming),
                 "cudaEventCreateWithFlags"));
  }
  return absl::OkStatus();
}

CudaBackend::CudaBackend(const CudaBackendOptions& options)
    : options_(options), uploaders_(Uploaders()) {}

CudaBackend::~CudaBackend() {
  if (stream_ != nullptr) cudaStreamSynchronize(stream_);
  captured_graphs_.reset();
  matmul_.reset();
  for (cudaEvent_t event : half_is_free_) {
    if (event != nullptr) cudaEventDestroy(event);
  }
  if (stream_ != nullptr) cudaStreamDestroy(stream_);
}

std::string CudaBackend::Description() const { return absl::StrCat("cuda ", name_); }

void CudaBackend::BindThread() { Check(cudaSetDevice(options_.device), "cudaSetDevice"); }

void CudaBackend::Check(cudaError_t error, const char* call) { Check(ToStatus(error, call)); }

void CudaBackend::Check(absl::Status status) {
  if (status_.ok()) status_ = std::move(status);
}

absl::StatusOr<DeviceBuffer> CudaBackend::Allocate(size_t size_bytes) {
  void* data = nullptr;
  const absl::Status status =
      ToStatus(cudaMalloc(&data, std::max<size_t>(size_bytes, 1)), "cudaMalloc");
  if (!status.ok()) {
    cudaGetLastError();  // or the next launch would be told of it
    return absl::ResourceExhaustedError(
        absl::StrCat("no memory for ", size_bytes, " bytes: ", status.message()));
  }
  DeviceBuffer buffer(data, size_bytes, [](void* p) { cudaFree(p); });
  SDAR_RETURN_IF_ERROR(ToStatus(cudaMemsetAsync(data, 0, size_bytes, stream_), "cudaMemsetAsync"));
  return buffer;
}

void CudaBackend::CopyToDevice(const void* host, size_t size_bytes, void* device) {
  if (size_bytes == 0) return;
  // The caller's memory is its own again when this returns.
  const void* from = host;
  if (staged_bytes_ + size_bytes <= staging_->size_bytes()) {
    from = std::memcpy(staging_->data() + staged_bytes_, host, size_bytes);
    staged_bytes_ += (size_bytes + 255) / 256 * 256;
  }
  Check(cudaMemcpyAsync(device, from, size_bytes, cudaMemcpyHostToDevice, stream_),
        "cudaMemcpyAsync");
}

void CudaBackend::CopyToHost(const void* device, size_t size_bytes, void* host) {
  if (size_bytes == 0) return;
  Check(cudaMemcpyAsync(host, device, size_bytes, cudaMemcpyDeviceToHost, stream_),
        "cudaMemcpyAsync");
  Check(cudaStreamSynchronize(stream_), "cudaStreamSynchronize");
  staged_bytes_ = 0;
}

absl::Status CudaBackend::Synchronize() {
  Check(cudaGetLastError(), "a kernel's launch");
  Check(cudaStreamSynchronize(stream_), "cudaStreamSynchronize");
  staged_bytes_ = 0;
  return std::exchange(status_, absl::OkStatus());
}

absl::Status CudaBackend::Repeat(const std::vector<int64_t>& key,
                                 absl::FunctionRef<absl::Status()> enqueue) {
  return options_.graphs ? captured_graphs_->Run(key, enqueue) : enqueue();
}

// What was smaller stays, for graphs that use it: in powers of two, all of it is no more than the
// last.
void* CudaBackend::Scratch(size_t size_bytes) {
  if (scratch_.empty() || scratch_.back().size_bytes() < size_bytes) {
    auto larger = Allocate(std::bit_ceil(size_bytes));
    if (!larger.ok()) {
      Check(larger.status());
      return nullptr;
    }
    scratch_.push_back(*std::move(larger));
  }
  return scratch_.back().data();
}

absl::StatusOr<PackedWeight> CudaBackend::Pack(absl::Span<const WeightPiece> pieces, int64_t cols,
                                               WeightFormat format) {
  if (format != WeightFormat::kAct) {
    return absl::InvalidArgumentError("int8 weights: only the CPU backend has them");
  }
  PackedWeight packed;
  packed.dtype = options_.act_dtype;
  packed.cols = cols;
  for (const WeightPiece& piece : pieces) packed.rows += piece.rows;
  const size_t row_bytes = static_cast<size_t>(cols) * SizeOf(packed.dtype);
  SDAR_ASSIGN_OR_RETURN(packed.storage, Allocate(static_cast<size_t>(packed.rows) * row_bytes));
  char* to = static_cast<char*>(packed.storage.data());
  for (const WeightPiece& piece : pieces) {
    SDAR_RETURN_IF_ERROR(PlacePiece(piece, cols, to));
    to += static_cast<size_t>(piece.rows) * row_bytes;
  }
  return packed;
}

absl::StatusOr<DeviceBuffer> CudaBackend::MakeTable(const WeightPiece& piece, int64_t cols) {
  const size_t row_bytes = static_cast<size_t>(cols) * SizeOf(options_.act_dtype);
  SDAR_ASSIGN_OR_RETURN(DeviceBuffer table, Allocate(static_cast<size_t>(piece.rows) * row_bytes));
  SDAR_RETURN_IF_ERROR(PlacePiece(piece, cols, static_cast<char*>(table.data())));
  return table;
}

absl::Status CudaBackend::PlacePiece(const WeightPiece& piece, int64_t cols, char* device) {
  if (!piece.synthetic) return UploadPiece(piece, cols, device);
  cuda::FillSynthetic(*piece.synthetic, piece.row_stride,
                      MakeView(device, options_.act_dtype, piece.rows, cols), stream_);
  return ToStatus(cudaGetLastError(), "a kernel's launch");
}

absl::Status CudaBackend::UploadPiece(const WeightPiece& piece, int64_t cols, char* device) {
  const size_t row_bytes = static_cast<size_t>(cols) * SizeOf(options_.act_dtype);
  const auto rows_at_once = static_cast<int64_t>(kHalfBytes / row_bytes);
  SDAR_CHECK(rows_at_once > 0);
  for (int64_t first = 0; first < piece.rows; first += rows_at_once) {
    const int half = std::exchange(next_half_, 1 - next_half_);
    const int64_t count = std::min(rows_at_once, piece.rows - first);
    SDAR_RETURN_IF_ERROR(
        ToStatus(cudaEventSynchronize(half_is_free_[half]), "cudaEventSynchronize"));
    char* staged = halves_[half]->data();
    uploaders_.Run(count, [&](int64_t begin, int64_t end) {
      ConvertRows(piece, first + begin, end - begin, cols, options_.act_dtype,
                  staged + static_cast<size_t>(begin) * row_bytes);
    });
    SDAR_RETURN_IF_ERROR(ToStatus(
        cudaMemcpyAsync(device + static_cast<size_t>(first) * row_bytes, staged,
                        static_cast<size_t>(count) * row_bytes, cudaMemcpyHostToDevice, stream_),
        "cudaMemcpyAsync"));
    SDAR_RETURN_IF_ERROR(
        ToStatus(cudaEventRecord(half_is_free_[half], stream_), "cudaEventRecord"));
  }
  return absl::OkStatus();
}

void CudaBackend::Run(const Operation& operation) {
  std::visit([this](const auto& call) { Execute(call); }, operation);
}

void CudaBackend::Execute(const op::MatMul& call) {
  if (call.x.rows > 0) Check(matmul_->Run(call.weight, call.x, call.out));
}

void CudaBackend::Execute(const op::BlockAttention& call) {
  void* workspace =
      Scratch(cuda::AttentionWorkspaceBytes(call.shape, call.layout, traits_.num_multiprocessors));
  if (!status_.ok()) return;
  cuda::BlockAttention(call, traits_.num_multiprocessors, workspace, stream_);
}

cuda::ExpertTable CudaBackend::TableOf(const ExpertWeights& experts) {
  const size_t count = experts.gate_up.size();
  std::vector<const void*> weights;
  for (const PackedWeight& weight : experts.gate_up) weights.push_back(weight.storage.data());
  for (const PackedWeight& weight : experts.down) weights.push_back(weight.storage.data());
  ExpertPointers& known = expert_pointers_[&experts];
  if (known.weights != weights) {
    const size_t bytes = weights.size() * sizeof(weights[0]);
    auto buffer = Allocate(bytes);
    Check(buffer.status());
    if (!buffer.ok()) return {};
    known = {std::move(weights), *std::move(buffer)};
    CopyToDevice(known.weights.data(), bytes, known.device.data());
  }
  cuda::ExpertTable table;
  table.gate_up = static_cast<const void* const*>(known.device.data());
  table.down = table.gate_up + count;
  table.first_expert = experts.first_expert;
  table.count = static_cast<int64_t>(count);
  table.width = count == 0 ? 0 : experts.down[0].cols;
  return table;
}

void CudaBackend::Execute(const op::Experts& call) {
  const cuda::ExpertTable table = TableOf(call.experts);
  void* workspace =
      Scratch(cuda::ExpertsWorkspaceBytes(table, call.x.dtype, call.x.rows, call.x.cols, call.k));
  if (!status_.ok()) return;
  cuda::Experts(call, table, traits_, workspace, stream_);
}

void CudaBackend::Execute(const op::Clear& call) {
  const TensorView& out = call.out;
  const size_t element = SizeOf(out.dtype);
  Check(cudaMemset2DAsync(out.data, static_cast<size_t>(out.row_stride) * element, 0,
                          static_cast<size_t>(out.cols) * element, static_cast<size_t>(out.rows),
                          stream_),
        "cudaMemset2DAsync");
}

void CudaBackend::Execute(const op::SummarizeLogits& call) {
  const size_t bytes = call.out.size() * sizeof(LogitSummary);
  const cuda::PackedSpecs packed(call.specs, call.logits.cols);
  const auto grow = [&](DeviceBuffer& buffer, size_t size_bytes) {
    if (buffer.size_bytes() >= size_bytes) return;
    auto larger = Allocate(2 * size_bytes);
    Check(larger.status());
    if (larger.ok()) buffer = *std::move(larger);
  };
  grow(spec_bytes_, packed.bytes().size());
  grow(device_summaries_, bytes);
  if (summaries_ == nullptr || summaries_->size_bytes() < bytes) {
    auto larger = Pinned::Create(2 * bytes);
    Check(larger.status());
    if (larger.ok()) summaries_ = *std::move(larger);
  }
  if (!status_.ok() || call.out.empty() || call.logits.cols == 0) return;
  CopyToDevice(packed.bytes().data(), packed.bytes().size(), spec_bytes_.data());
  cuda::SummarizeLogits(packed.At(spec_bytes_.data()), call.logits,
                        static_cast<LogitSummary*>(device_summaries_.data()), stream_);
  CopyToHost(device_summaries_.data(), bytes, summaries_->data());
  std::memcpy(call.out.data(), summaries_->data(), bytes);
}

}  // namespace sdar
