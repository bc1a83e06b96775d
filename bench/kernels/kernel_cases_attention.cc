// SPDX-License-Identifier: Apache-2.0
// Attention over pages in no order, and what writes them.
#include <algorithm>
#include <numeric>

#include "absl/strings/str_cat.h"

#include "bench/kernels/kernel_cases.h"
#include "common/status_macros.h"
#include "runtime/model/rope.h"

namespace sdar {
namespace {

constexpr int64_t kKvPageSize = 64;
constexpr int64_t kPageSets = 64;  // that attention takes turns over, at most

int64_t PagesFor(int64_t positions) { return (positions + kKvPageSize - 1) / kKvPageSize; }

std::vector<int32_t> Shuffled(int64_t count, std::mt19937& random) {
  std::vector<int32_t> values(static_cast<size_t>(count));
  std::iota(values.begin(), values.end(), 0);
  std::shuffle(values.begin(), values.end(), random);
  return values;
}

// Sequence i's rows are i * rows_of_one .. and its pages follow those of i - 1.
std::vector<AttentionSegment> MakeSegments(const AttentionCase& which) {
  std::vector<AttentionSegment> segments(static_cast<size_t>(which.sequences));
  for (size_t i = 0; i < segments.size(); ++i) {
    AttentionSegment& segment = segments[i];
    segment.first_row = static_cast<int32_t>(static_cast<int64_t>(i) * which.rows_of_one);
    segment.num_rows = static_cast<int32_t>(which.rows_of_one);
    segment.first_position = static_cast<int32_t>(which.context);
    segment.block_length = static_cast<int32_t>(which.rows_of_one);
    segment.page_offset =
        static_cast<int32_t>(static_cast<int64_t>(i) * PagesFor(which.context + which.rows_of_one));
  }
  return segments;
}

std::vector<int32_t> MakePositions(const AttentionCase& which) {
  std::vector<int32_t> positions;
  for (int64_t row = 0; row < which.sequences * which.rows_of_one; ++row) {
    positions.push_back(static_cast<int32_t>(which.context + row % which.rows_of_one));
  }
  return positions;
}

}  // namespace

AttentionShape KernelCases::Attention() const {
  return {config_.num_heads, config_.num_kv_heads, config_.head_dim,
          static_cast<float>(config_.rms_norm_eps)};
}

// Every row writes its K/V, each to another place.
absl::Status KernelCases::QkNormRopeWrite(Visit visit) {
  const AttentionShape shape = Attention();
  SDAR_ASSIGN_OR_RETURN(const OwnedMatrix norm,
                        memory_.RandomMatrix(1, shape.head_dim, DType::kFloat32));
  const RopeTable table = MakeRopeTable(config_);
  SDAR_ASSIGN_OR_RETURN(const DeviceBuffer frequencies, memory_.Upload(table.frequencies));
  const RopeAngles rope = {static_cast<const float*>(frequencies.data()), table.scale};
  for (int64_t rows : sweep_.rows) {
    const int64_t num_pages = PagesFor(rows);
    const int64_t kv = num_pages * kKvPageSize * config_.KvWidth();
    SDAR_ASSIGN_OR_RETURN(const DeviceBuffer keys, memory_.Random(kv, act()));
    SDAR_ASSIGN_OR_RETURN(const DeviceBuffer values, memory_.Random(kv, act()));
    const KvPages pages = {keys.data(),        values.data(), act(),
                           shape.num_kv_heads, kKvPageSize,   shape.head_dim};
    SDAR_ASSIGN_OR_RETURN(const OwnedMatrix qkv,
                          memory_.RandomMatrix(rows, QkvWidth(), DType::kFloat32));
    const std::vector<int32_t> places = Shuffled(rows, random_);
    SDAR_ASSIGN_OR_RETURN(const DeviceBuffer positions, memory_.Upload(places));
    SDAR_ASSIGN_OR_RETURN(const DeviceBuffer slots,
                          memory_.Upload(std::vector<int64_t>(places.begin(), places.end())));
    StepLayout layout;
    layout.num_rows = rows;
    layout.positions = static_cast<const int32_t*>(positions.data());
    layout.kv_slots = static_cast<const int64_t*>(slots.data());
    const auto run = [&](int64_t /*call*/) {
      backend_.Run(op::QkNormRopeWrite{shape, rope, layout, norm.view, norm.view, pages, qkv.view});
    };
    SDAR_RETURN_IF_ERROR(
        visit({"QkNormRopeWrite", "", rows, QkNormRopeWriteWork(shape, rows, act()), run}));
  }
  return absl::OkStatus();
}

absl::Status KernelCases::BlockAttention(Visit visit) {
  const int64_t page_values = kKvPageSize * config_.KvWidth();
  const int64_t page_bytes = 2 * page_values * static_cast<int64_t>(SizeOf(act()));
  std::vector<AttentionCase> cases;
  int64_t most_pages = 0;
  for (int64_t block : sweep_.block_lengths) {
    for (int64_t sequences : sweep_.batches) {
      for (int64_t context : sweep_.contexts) {
        const int64_t whole = context / block * block;
        const int64_t num_pages = sequences * PagesFor(whole + block);
        if (num_pages * page_bytes > sweep_.max_bytes) {
          left_out_.push_back(absl::StrCat("BlockAttention of ", sequences, " x ", block,
                                           " rows, context ", whole));
          continue;
        }
        most_pages = std::max(most_pages, num_pages);
        cases.push_back({sequences, block, whole});
      }
    }
  }
  if (cases.empty()) return absl::OkStatus();
  const int64_t num_pages = std::max(most_pages, (sweep_.cold_bytes + page_bytes - 1) / page_bytes);
  SDAR_ASSIGN_OR_RETURN(const DeviceBuffer keys, memory_.Random(num_pages * page_values, act()));
  SDAR_ASSIGN_OR_RETURN(const DeviceBuffer values, memory_.Random(num_pages * page_values, act()));
  const KvPages pages = {keys.data(),          values.data(), act(),
                         config_.num_kv_heads, kKvPageSize,   config_.head_dim};
  for (const AttentionCase& which : cases) {
    SDAR_RETURN_IF_ERROR(Attend(which, pages, num_pages, visit));
  }
  return absl::OkStatus();
}

absl::Status KernelCases::Attend(const AttentionCase& which, const KvPages& pages,
                                 int64_t num_pages, Visit visit) {
  const AttentionShape shape = Attention();
  const int64_t rows = which.sequences * which.rows_of_one;
  const int64_t needed = which.sequences * PagesFor(which.context + which.rows_of_one);
  const int64_t sets = std::min(num_pages / needed, kPageSets);
  SDAR_ASSIGN_OR_RETURN(const DeviceBuffer table, memory_.Upload(Shuffled(num_pages, random_)));
  SDAR_ASSIGN_OR_RETURN(const DeviceBuffer segments, memory_.Upload(MakeSegments(which)));
  SDAR_ASSIGN_OR_RETURN(const DeviceBuffer positions, memory_.Upload(MakePositions(which)));
  SDAR_ASSIGN_OR_RETURN(const DeviceBuffer slots, memory_.Upload(std::vector<int64_t>(
                                                      static_cast<size_t>(rows), int64_t{-1})));
  SDAR_ASSIGN_OR_RETURN(const OwnedMatrix qkv,
                        memory_.RandomMatrix(rows, QkvWidth(), DType::kFloat32));
  SDAR_ASSIGN_OR_RETURN(const OwnedMatrix out, memory_.Matrix(rows, config_.QueryWidth(), act()));
  StepLayout layout;
  layout.num_rows = rows;
  layout.positions = static_cast<const int32_t*>(positions.data());
  layout.kv_slots = static_cast<const int64_t*>(slots.data());
  layout.segments = static_cast<const AttentionSegment*>(segments.data());
  layout.num_segments = which.sequences;
  const auto run = [&](int64_t call) {
    layout.page_table = static_cast<const int32_t*>(table.data()) + call % sets * needed;
    backend_.Run(op::BlockAttention{shape, layout, pages, qkv.view, out.view});
  };
  return visit(
      {"BlockAttention",
       absl::StrCat(which.sequences, " x ", which.rows_of_one, " rows, context ", which.context),
       rows, BlockAttentionWork(shape, which, act()), run});
}

}  // namespace sdar
