// SPDX-License-Identifier: Apache-2.0
#include "kernels/weight_format.h"

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace sdar {

absl::StatusOr<WeightFormat> ParseWeightFormat(absl::string_view name) {
  if (name == "dtype") return WeightFormat::kAct;
  if (name == "int8") return WeightFormat::kInt8;
  return absl::InvalidArgumentError(
      absl::StrCat("--weights: expected dtype or int8, got '", name, "'"));
}

}  // namespace sdar
