// SPDX-License-Identifier: Apache-2.0
#include "runtime/server/api/answers/answer_form.h"

#include "absl/strings/str_cat.h"

namespace sdar {

std::string ServerSentEvent(const Json& data) {
  return absl::StrCat("data: ", DumpJson(data), "\n\n");
}

std::string ServerSentEvent(const char* name, const Json& data) {
  return absl::StrCat("event: ", name, "\n", ServerSentEvent(data));
}

}  // namespace sdar
