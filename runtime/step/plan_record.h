// SPDX-License-Identifier: Apache-2.0
// Files of executed plans and the summaries they gave: a run that can be replayed and compared.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "google/protobuf/io/zero_copy_stream_impl.h"

#include "common/logit_summary.h"
#include "sdar/v1/plan_record.pb.h"

namespace sdar {

inline constexpr uint32_t kPlanRecordVersion = 1;

// Writes a record. One thread.
class PlanRecorder {
 public:
  // Creates the file and writes the header. NotFound when it cannot be created.
  static absl::StatusOr<std::unique_ptr<PlanRecorder>> Create(const std::string& path,
                                                              sdar::v1::PlanRecordHeader header);
  // Appends a plan and its summaries. They are with the operating system when this returns: a job
  // that fails leaves by _Exit, and its last steps are what a record is wanted for. DataLoss when
  // the file cannot be written.
  absl::Status Add(const sdar::v1::StepPlan& plan, absl::Span<const LogitSummary> summaries);

 private:
  PlanRecorder(const std::string& path, int file);

  std::string path_;
  google::protobuf::io::FileOutputStream stream_;
};

// Reads a record. One thread.
class PlanRecordReader {
 public:
  // NotFound: there is no such file. InvalidArgument: it is no record, or of a version that this
  // program does not read.
  static absl::StatusOr<std::unique_ptr<PlanRecordReader>> Open(const std::string& path);

  const sdar::v1::PlanRecordHeader& header() const { return header_; }
  // The next step; nothing at the end. DataLoss where the file breaks off or is damaged.
  absl::StatusOr<std::optional<sdar::v1::RecordedStep>> Next();
  // How much of the file has been read, 0 .. 1.
  double fraction() const;

 private:
  PlanRecordReader(const std::string& path, int file);

  std::string path_;
  int64_t size_bytes_ = 0;
  google::protobuf::io::FileInputStream stream_;
  sdar::v1::PlanRecordHeader header_;
  int64_t num_steps_ = 0;
};

sdar::v1::RecordedSummary ToRecord(const LogitSummary& summary);

// How far a replayed summary is from the recorded one: 0 when every bit is the same, else the
// largest difference in nats of the maximum, the logarithm of the sum of exp(z), the best allowed
// z, the entropy, the z that was asked for and the best perturbed z; infinity where the numbers of
// allowed ids differ or a value is NaN. With equal values but other bits, the smallest positive
// number.
double Difference(const sdar::v1::RecordedSummary& recorded, const LogitSummary& replayed);

}  // namespace sdar
