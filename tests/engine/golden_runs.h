// SPDX-License-Identifier: Apache-2.0
// The reference's runs, as requests to a job in the test process.
#pragma once

#include <string>

#include "gtest/gtest.h"

#include "common/json.h"
#include "launcher/generate/jsonl_request.h"
#include "tests/engine/local_job.h"
#include "tests/status_matchers.h"

namespace sdar {

inline std::string Folder(const std::string& name) {
  return std::string(SDAR_SOURCE_DIR) + "/" + name;
}

inline Json ReadRuns(const std::string& path) {
  auto json = ReadJsonFile(path);
  EXPECT_TRUE(json.ok()) << json.status();
  return (*json)["runs"];
}

// Submits every run's request; run i fills record i.
inline void SubmitRuns(LocalJob& job, const Json& runs, Collector& out, bool trace) {
  int key = 0;
  for (const Json& run : runs) {
    Json id;
    auto request = ParseJsonlRequest(DumpJson(run["request"]), 1, job.text(), id);
    ASSERT_TRUE(request.ok()) << request.status();
    ASSERT_THAT(job.Submit(request->fields, request->prompt, out, key++, trace), IsOk());
  }
}

}  // namespace sdar
