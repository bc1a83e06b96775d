// SPDX-License-Identifier: Apache-2.0
// The files of a chat, in the JSON of OpenAI's API: lists of tools and of messages.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "sdar/v1/generation.pb.h"

namespace sdar {

// The text of a list of tools, each with a function that has a name. InvalidArgument names the file
// and the entry.
absl::StatusOr<std::string> ReadTools(const std::string& path);

// A list of messages, as WriteMessages writes it. InvalidArgument names the file and the message.
absl::StatusOr<sdar::v1::Chat> ReadMessages(const std::string& path);

// Writes one message a line. Replaces what the file held, or leaves it as it was.
absl::Status WriteMessages(const sdar::v1::Chat& chat, const std::string& path);

}  // namespace sdar
