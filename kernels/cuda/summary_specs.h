// SPDX-License-Identifier: Apache-2.0
// LogitSpecs as a kernel reads them: one array of bytes that travels to the device in one copy.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/logit_specs.h"

namespace sdar::cuda {

// A change of one id's logit: where the ids meet this shard's columns only those are listed.
struct LogitChange {
  int32_t column;
  float amount;  // what is subtracted, or added
};

// One row's spec; lists are ranges of the arrays below.
struct RowSpec {
  float inverse_temperature;
  float repetition_penalty;
  int32_t repeated_begin, repeated_end;    // of columns
  int32_t lowered_begin, lowered_end;      // of changes: frequency and presence penalties
  int32_t raised_begin, raised_end;        // of changes: bias
  int32_t forbidden_begin, forbidden_end;  // of columns; those of every row come besides
  int32_t allowed_begin;                   // of columns: words of 32 ids, see below; -1: all are
  int32_t asked_column;                    // -1: none here
  int32_t draws;
  uint32_t seed_low, seed_high;
  uint32_t position, step;
};

// Views of the packed arrays, in device memory once copied.
struct SummarySpecs {
  const RowSpec* rows = nullptr;
  const int32_t* columns = nullptr;
  const LogitChange* changes = nullptr;
  int32_t forbidden_begin = 0, forbidden_end = 0;  // of every row, of columns
  int32_t first_id = 0;
  // Bits of who is allowed begin with the word that holds this shard's first id: column c is bit
  // (first_bit + c) % 32 of word (first_bit + c) / 32.
  int32_t first_bit = 0;
};

// The host's side of it.
class PackedSpecs {
 public:
  // Keeps what concerns the columns [0, num_columns), which are the ids from specs.first_id on.
  PackedSpecs(const LogitSpecs& specs, int64_t num_columns);

  const std::vector<std::byte>& bytes() const { return bytes_; }
  // The specs once bytes() lie at `device`, which is aligned to 16.
  SummarySpecs At(const void* device) const;

 private:
  // Where the ids lie in `columns` that are in this shard.
  template <typename Ids>
  void AddColumns(const Ids& ids, int32_t& begin, int32_t& end);
  int32_t AddAllowed(absl::Span<const uint64_t> allowed);
  RowSpec PackRow(const LogitRowSpec& row);
  int32_t ColumnOf(TokenId id) const;

  int64_t first_id_;
  int64_t num_columns_;
  std::vector<RowSpec> rows_;
  std::vector<int32_t> columns_;
  std::vector<LogitChange> changes_;
  int32_t forbidden_begin_ = 0, forbidden_end_ = 0;
  std::vector<std::byte> bytes_;
};

}  // namespace sdar::cuda
