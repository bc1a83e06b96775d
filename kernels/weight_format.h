// SPDX-License-Identifier: Apache-2.0
// How a device keeps the weights that it multiplies with.
#pragma once

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace sdar {

// Elements of the act dtype; or signed bytes and a scale for every output column, by which
// activations are made bytes too, row by row (W8A8).
enum class WeightFormat { kAct, kInt8 };

// Reads "dtype" (kAct) or "int8"; InvalidArgument names them.
absl::StatusOr<WeightFormat> ParseWeightFormat(absl::string_view name);

}  // namespace sdar
