// SPDX-License-Identifier: Apache-2.0
// Row-wise kernels that read each value once and keep none: embedding, SwiGLU, gather, scatter.
#include "kernels/cuda/device.h"
#include "kernels/cuda/kernels.h"

namespace sdar::cuda {
namespace {

constexpr unsigned kThreads = 256;

// Calls `launch` with a value of the element type that `dtype` names.
template <typename F>
void WithElement(DType dtype, const F& launch) {
  if (dtype == DType::kBFloat16) {
    launch(Bf16{});
  } else {
    launch(float{});
  }
}

template <typename T>
struct Rows {
  T* data;
  int64_t stride;
  __device__ T* operator[](int64_t row) const { return data + row * stride; }
};
template <typename T>
Rows<T> RowsOf(const TensorView& view) {
  return {static_cast<T*>(view.data), view.row_stride};
}

template <typename Act>
__global__ void EmbedKernel(Rows<Act> table, int64_t table_rows, int64_t first_id,
                            const int32_t* ids, Rows<float> out, int64_t cols) {
  const int64_t from = ids[blockIdx.x] - first_id;
  const bool here = from >= 0 && from < table_rows;
  for (int64_t c = threadIdx.x; c < cols; c += kThreads) {
    out[blockIdx.x][c] = here ? ToFloat(table[from][c]) : 0.0f;
  }
}

template <typename Act>
__global__ void SwiGluKernel(Rows<float> gate_up, Rows<Act> out, int64_t width) {
  const int64_t c = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (c >= width) return;
  const float gate = gate_up[blockIdx.y][c];
  const float up = gate_up[blockIdx.y][width + c];
  out[blockIdx.y][c] = FromFloat<Act>(gate / (1.0f + expf(-gate)) * up);
}

template <typename T>
__global__ void GatherRowsKernel(Rows<T> x, const int32_t* rows, Rows<T> out, int64_t cols) {
  for (int64_t c = threadIdx.x; c < cols; c += kThreads) {
    out[blockIdx.x][c] = x[rows[blockIdx.x]][c];
  }
}

// One thread adds all rows of its column, so that they are added in order.
__global__ void ScatterAddRowsKernel(Rows<float> x, int64_t num_rows, const int32_t* rows,
                                     Rows<float> out, int64_t cols) {
  const int64_t c = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (c >= cols) return;
  for (int64_t i = 0; i < num_rows; ++i) out[rows[i]][c] += x[i][c];
}

unsigned BlocksFor(int64_t columns) {
  return static_cast<unsigned>((columns + kThreads - 1) / kThreads);
}

}  // namespace

void Embed(const op::Embed& call, cudaStream_t stream) {
  WithElement(call.table.dtype, [&](auto element) {
    using Act = decltype(element);
    Launch(EmbedKernel<Act>, dim3(static_cast<unsigned>(call.out.rows)), kThreads, 0, stream,
           RowsOf<Act>(call.table), call.table.rows, call.first_id, call.ids,
           RowsOf<float>(call.out), call.out.cols);
  });
}

void SwiGlu(const op::SwiGlu& call, cudaStream_t stream) {
  WithElement(call.out.dtype, [&](auto element) {
    using Act = decltype(element);
    Launch(SwiGluKernel<Act>, dim3(BlocksFor(call.out.cols), static_cast<unsigned>(call.out.rows)),
           kThreads, 0, stream, RowsOf<float>(call.gate_up), RowsOf<Act>(call.out), call.out.cols);
  });
}

void GatherRows(const op::GatherRows& call, cudaStream_t stream) {
  WithElement(call.x.dtype, [&](auto element) {
    using T = decltype(element);
    Launch(GatherRowsKernel<T>, dim3(static_cast<unsigned>(call.out.rows)), kThreads, 0, stream,
           RowsOf<T>(call.x), call.rows, RowsOf<T>(call.out), call.out.cols);
  });
}

void ScatterAddRows(const op::ScatterAddRows& call, cudaStream_t stream) {
  Launch(ScatterAddRowsKernel, dim3(BlocksFor(call.out.cols)), kThreads, 0, stream,
         RowsOf<float>(call.x), call.x.rows, call.rows, RowsOf<float>(call.out), call.out.cols);
}

}  // namespace sdar::cuda
