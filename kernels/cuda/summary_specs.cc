// SPDX-License-Identifier: Apache-2.0
#include "kernels/cuda/summary_specs.h"

#include <cstring>

namespace sdar::cuda {

PackedSpecs::PackedSpecs(const LogitSpecs& specs, int64_t num_columns)
    : first_id_(specs.first_id), num_columns_(num_columns) {
  AddColumns(specs.forbidden, forbidden_begin_, forbidden_end_);
  for (const LogitRowSpec& row : specs.rows) rows_.push_back(PackRow(row));
  const size_t rows = rows_.size() * sizeof(RowSpec);
  const size_t columns = columns_.size() * sizeof(int32_t);
  const size_t changes = changes_.size() * sizeof(LogitChange);
  bytes_.resize(rows + columns + changes);
  if (rows > 0) std::memcpy(bytes_.data(), rows_.data(), rows);
  if (changes > 0) std::memcpy(bytes_.data() + rows, changes_.data(), changes);
  if (columns > 0) std::memcpy(bytes_.data() + rows + changes, columns_.data(), columns);
}

SummarySpecs PackedSpecs::At(const void* device) const {
  const auto* bytes = static_cast<const std::byte*>(device);
  const size_t rows = rows_.size() * sizeof(RowSpec);
  SummarySpecs specs;
  specs.rows = reinterpret_cast<const RowSpec*>(bytes);
  specs.changes = reinterpret_cast<const LogitChange*>(bytes + rows);
  specs.columns =
      reinterpret_cast<const int32_t*>(bytes + rows + changes_.size() * sizeof(LogitChange));
  specs.forbidden_begin = forbidden_begin_;
  specs.forbidden_end = forbidden_end_;
  specs.first_id = static_cast<int32_t>(first_id_);
  specs.first_bit = specs.first_id % 32;
  return specs;
}

int32_t PackedSpecs::ColumnOf(TokenId id) const {
  const int64_t column = int64_t{id} - first_id_;
  return column >= 0 && column < num_columns_ ? static_cast<int32_t>(column) : -1;
}

template <typename Ids>
void PackedSpecs::AddColumns(const Ids& ids, int32_t& begin, int32_t& end) {
  begin = static_cast<int32_t>(columns_.size());
  for (TokenId id : ids) {
    if (const int32_t column = ColumnOf(id); column >= 0) columns_.push_back(column);
  }
  end = static_cast<int32_t>(columns_.size());
}

// The words that hold this shard's ids, among the columns.
int32_t PackedSpecs::AddAllowed(absl::Span<const uint64_t> allowed) {
  if (allowed.empty() || num_columns_ == 0) return -1;
  const auto begin = static_cast<int32_t>(columns_.size());
  for (int64_t word = first_id_ / 32; word * 32 < first_id_ + num_columns_; ++word) {
    const uint64_t both = allowed[static_cast<size_t>(word / 2)];
    columns_.push_back(static_cast<int32_t>(static_cast<uint32_t>(both >> word % 2 * 32)));
  }
  return begin;
}

RowSpec PackedSpecs::PackRow(const LogitRowSpec& row) {
  RowSpec packed = {};
  packed.inverse_temperature = row.inverse_temperature;
  packed.repetition_penalty = row.repetition_penalty;
  AddColumns(row.repetition_penalty == 1 ? absl::Span<const TokenId>() : row.repeated,
             packed.repeated_begin, packed.repeated_end);
  AddColumns(row.forbidden, packed.forbidden_begin, packed.forbidden_end);
  packed.allowed_begin = AddAllowed(row.allowed);
  packed.lowered_begin = static_cast<int32_t>(changes_.size());
  for (const auto& [id, count] : row.output_counts) {
    const float amount = row.frequency_penalty * static_cast<float>(count) + row.presence_penalty;
    if (const int32_t column = ColumnOf(id); column >= 0) changes_.push_back({column, amount});
  }
  packed.lowered_end = packed.raised_begin = static_cast<int32_t>(changes_.size());
  for (const auto& [id, bias] : row.bias) {
    if (const int32_t column = ColumnOf(id); column >= 0) changes_.push_back({column, bias});
  }
  packed.raised_end = static_cast<int32_t>(changes_.size());
  packed.asked_column = row.asked == kNoToken ? -1 : ColumnOf(row.asked);
  packed.draws = row.draws ? 1 : 0;
  packed.seed_low = static_cast<uint32_t>(row.draw_key.seed);
  packed.seed_high = static_cast<uint32_t>(row.draw_key.seed >> 32);
  packed.position = row.draw_key.position;
  packed.step = row.draw_key.step;
  return packed;
}

}  // namespace sdar::cuda
