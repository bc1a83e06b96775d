// SPDX-License-Identifier: Apache-2.0
// Steps of several segments with random committed context, on the host and on a device.
#pragma once

#include <vector>

#include "tests/kernels/targets.h"

namespace sdar {

inline AttentionShape MakeShape(int64_t num_heads, int64_t num_kv_heads, int64_t head_dim) {
  return {num_heads, num_kv_heads, head_dim, 1e-6f};
}

// A segment to be laid out.
struct SegmentSpec {
  int32_t first_position;
  int32_t num_rows;
  int32_t block_length;
};

struct StepSpec {
  AttentionShape shape = MakeShape(4, 2, 16);
  int64_t page_size = 16;
  double scale = 1;  // of q, k and v
  double rope_theta = 1e4;
  float rope_scale = 1;
  std::vector<SegmentSpec> segments;
  bool shared_pages = false;  // all segments are of one sequence
};

// A laid out step. Every second row writes its K/V.
struct Step {
  Matrix qkv;  // as the device would have rounded it
  std::vector<int32_t> positions;
  std::vector<int64_t> kv_slots;
  std::vector<AttentionSegment> segments;
  std::vector<int32_t> page_table;
  HostPages keys;
  HostPages values;
  DeviceBuffer device_keys;
  DeviceBuffer device_values;
};

// Pages hold what no sequence committed as a value that would be seen at once.
class StepTest : public BackendTest {
 protected:
  Step MakeStep(const StepSpec& spec) {
    Step step;
    LayOut(spec, step);
    const int64_t num_pages = 1 + *std::max_element(step.page_table.begin(), step.page_table.end());
    step.keys = RandomPages(spec, step, num_pages);
    step.values = RandomPages(spec, step, num_pages);
    const int64_t cols = (spec.shape.num_heads + 2 * spec.shape.num_kv_heads) * spec.shape.head_dim;
    step.qkv =
        RandomMatrix(random(), static_cast<int64_t>(step.positions.size()), cols, spec.scale);
    for (double& v : step.qkv.values) v = double{RoundTo(act(), v)};
    return step;
  }

  Matrix Attend(const StepSpec& spec, Step& step) {
    const KvPages pages = UploadPages(spec, step);
    const DeviceMatrix qkv = Upload(step.qkv, DType::kFloat32, 4);
    DeviceMatrix out =
        Upload(Matrix(step.qkv.rows, spec.shape.num_heads * spec.shape.head_dim), act(), 2);
    WithLayout(step, [&](const StepLayout& layout) {
      backend().Run(op::BlockAttention{spec.shape, layout, pages, qkv.view, out.view});
    });
    return Download(out);
  }

  Matrix NormAndWrite(const StepSpec& spec, Step& step, const Matrix& q_norm,
                      const Matrix& k_norm) {
    const KvPages pages = UploadPages(spec, step);
    DeviceMatrix qkv = Upload(step.qkv, DType::kFloat32, 4);
    const DeviceMatrix q = Upload(q_norm, DType::kFloat32), k = Upload(k_norm, DType::kFloat32);
    Matrix periods(1, spec.shape.head_dim / 2);
    for (int64_t i = 0; i < periods.cols; ++i) {
      periods(0, i) = RopeFrequency(spec.rope_theta, spec.shape.head_dim, i);
    }
    const DeviceMatrix frequencies = Upload(periods, DType::kFloat32);
    const RopeAngles rope = {frequencies.view.Row<float>(0), spec.rope_scale};
    WithLayout(step, [&](const StepLayout& layout) {
      backend().Run(op::QkNormRopeWrite{spec.shape, rope, layout, q.view, k.view, pages, qkv.view});
    });
    return Download(qkv);
  }

  HostPages DownloadPages(const DeviceBuffer& buffer, const HostPages& like) {
    HostPages pages = like;
    DeviceMatrix flat;
    const auto count = like.values.size();
    std::vector<std::byte> bytes = DownloadAll<std::byte>(buffer, count * SizeOf(act()));
    std::vector<float> floats(count);
    ConvertToFloat(act(), bytes.data(), count, floats.data());
    pages.values.assign(floats.begin(), floats.end());
    return pages;
  }

  static Matrix Ones(int64_t cols) {
    Matrix m(1, cols);
    std::fill(m.values.begin(), m.values.end(), 1.0);
    return m;
  }

 private:
  // Sequences take pages in an order that is neither rising nor contiguous.
  static void LayOut(const StepSpec& spec, Step& step) {
    int32_t sequence = 0;
    for (const SegmentSpec& s : spec.segments) {
      AttentionSegment segment;
      segment.first_row = static_cast<int32_t>(step.positions.size());
      segment.num_rows = s.num_rows;
      segment.first_position = s.first_position;
      segment.block_length = s.block_length;
      segment.page_offset = static_cast<int32_t>(spec.shared_pages ? 0 : step.page_table.size());
      const int64_t needed = (s.first_position + s.num_rows - 1) / spec.page_size + 1;
      for (int64_t p = 0; p < needed; ++p) {
        if (spec.shared_pages && p < static_cast<int64_t>(step.page_table.size())) continue;
        step.page_table.push_back(static_cast<int32_t>(
            (needed - 1 - p) * static_cast<int64_t>(spec.segments.size()) + sequence));
      }
      for (int32_t i = 0; i < s.num_rows; ++i) {
        const int32_t position = s.first_position + i;
        step.positions.push_back(position);
        const auto entry = static_cast<size_t>(segment.page_offset + position / spec.page_size);
        const bool writes = i % 2 == 0 && !spec.shared_pages;
        step.kv_slots.push_back(
            writes ? step.page_table[entry] * spec.page_size + position % spec.page_size : -1);
      }
      step.segments.push_back(segment);
      ++sequence;
    }
  }

  // Committed positions are random; all others would make a visible difference if they were read.
  HostPages RandomPages(const StepSpec& spec, const Step& step, int64_t num_pages) {
    HostPages pages{spec.shape.num_kv_heads, spec.page_size, spec.shape.head_dim, {}};
    const int64_t per_page = pages.kv_heads * pages.page_size * pages.head_dim;
    pages.values.assign(static_cast<size_t>(num_pages * per_page), 1e4);
    for (const AttentionSegment& segment : step.segments) {
      for (int64_t p = 0; p < segment.first_position; ++p) {
        const auto entry = static_cast<size_t>(segment.page_offset + p / spec.page_size);
        for (int64_t h = 0; h < pages.kv_heads; ++h) {
          for (int64_t d = 0; d < pages.head_dim; ++d) {
            pages.At(step.page_table[entry], h, p % spec.page_size, d) =
                double{RoundTo(act(), RandomMatrix(random(), 1, 1, spec.scale)(0, 0))};
          }
        }
      }
    }
    for (double& v : pages.values) v = double{RoundTo(act(), v)};
    return pages;
  }

  KvPages UploadPages(const StepSpec& spec, Step& step) {
    step.device_keys = UploadAll(Encode(act(), step.keys.values));
    step.device_values = UploadAll(Encode(act(), step.values.values));
    return {step.device_keys.data(), step.device_values.data(), act(), spec.shape.num_kv_heads,
            spec.page_size,          spec.shape.head_dim};
  }

  void WithLayout(const Step& step, const std::function<void(const StepLayout&)>& call) {
    const DeviceBuffer positions = UploadAll(step.positions);
    const DeviceBuffer slots = UploadAll(step.kv_slots);
    const DeviceBuffer segments = UploadAll(step.segments);
    const DeviceBuffer table = UploadAll(step.page_table);
    StepLayout layout;
    layout.num_rows = static_cast<int64_t>(step.positions.size());
    layout.positions = static_cast<const int32_t*>(positions.data());
    layout.kv_slots = static_cast<const int64_t*>(slots.data());
    layout.segments = static_cast<const AttentionSegment*>(segments.data());
    layout.num_segments = static_cast<int64_t>(step.segments.size());
    layout.page_table = static_cast<const int32_t*>(table.data());
    call(layout);
    EXPECT_TRUE(backend().Synchronize().ok());
  }
};

}  // namespace sdar
