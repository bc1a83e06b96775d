// SPDX-License-Identifier: Apache-2.0
#include "runtime/step/plan_record.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "google/protobuf/util/delimited_message_util.h"
#include <fcntl.h>
#include <sys/stat.h>

#include "common/status_macros.h"
#include "runtime/step/worker.h"

namespace sdar {
namespace {

using google::protobuf::util::ParseDelimitedFromZeroCopyStream;
using google::protobuf::util::SerializeDelimitedToZeroCopyStream;

// Requires: at least one candidate where `summary` has allowed ids.
double BestZ(const sdar::v1::RecordedSummary& summary) {
  return summary.candidate_z_size() > 0 ? double{summary.candidate_z(0)} : 0;
}

// |a - b|, where equal infinities are no distance.
double Distance(double a, double b) {
  if (a == b) return 0;
  const double distance = std::fabs(a - b);
  return std::isnan(distance) ? std::numeric_limits<double>::infinity() : distance;
}

double EntropyOf(const sdar::v1::RecordedSummary& s) {
  return std::log(s.sum_exp()) - s.sum_weighted() / s.sum_exp();
}

}  // namespace

PlanRecorder::PlanRecorder(const std::string& path, int file) : path_(path), stream_(file) {
  stream_.SetCloseOnDelete(true);
}

absl::StatusOr<std::unique_ptr<PlanRecorder>> PlanRecorder::Create(
    const std::string& path, sdar::v1::PlanRecordHeader header) {
  const int file = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (file < 0) return absl::NotFoundError(absl::StrCat("cannot create '", path, "'"));
  auto recorder = std::unique_ptr<PlanRecorder>(new PlanRecorder(path, file));
  header.set_version(kPlanRecordVersion);
  header.set_plan_version(kStepPlanVersion);
  if (!SerializeDelimitedToZeroCopyStream(header, &recorder->stream_) ||
      !recorder->stream_.Flush()) {
    return absl::DataLossError(absl::StrCat(path, ": writing failed"));
  }
  return recorder;
}

absl::Status PlanRecorder::Add(const sdar::v1::StepPlan& plan,
                               absl::Span<const LogitSummary> summaries) {
  sdar::v1::RecordedStep step;
  *step.mutable_plan() = plan;
  for (const LogitSummary& summary : summaries) *step.add_summaries() = ToRecord(summary);
  if (SerializeDelimitedToZeroCopyStream(step, &stream_) && stream_.Flush()) {
    return absl::OkStatus();
  }
  return absl::DataLossError(absl::StrCat(path_, ": writing failed"));
}

PlanRecordReader::PlanRecordReader(const std::string& path, int file) : path_(path), stream_(file) {
  stream_.SetCloseOnDelete(true);
  struct stat status = {};
  if (fstat(file, &status) == 0) size_bytes_ = status.st_size;
}

double PlanRecordReader::fraction() const {
  if (size_bytes_ == 0) return 1;
  return static_cast<double>(stream_.ByteCount()) / static_cast<double>(size_bytes_);
}

absl::StatusOr<std::unique_ptr<PlanRecordReader>> PlanRecordReader::Open(const std::string& path) {
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return absl::NotFoundError(absl::StrCat("cannot read '", path, "'"));
  auto reader = std::unique_ptr<PlanRecordReader>(new PlanRecordReader(path, file));
  sdar::v1::PlanRecordHeader& header = reader->header_;
  if (!ParseDelimitedFromZeroCopyStream(&header, &reader->stream_, nullptr) ||
      header.version() == 0) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": not a record of plans"));
  }
  if (header.version() != kPlanRecordVersion || header.plan_version() != kStepPlanVersion) {
    return absl::InvalidArgumentError(absl::StrCat(
        path, ": expected record version ", kPlanRecordVersion, " with plan version ",
        kStepPlanVersion, ", got ", header.version(), " with ", header.plan_version()));
  }
  return reader;
}

absl::StatusOr<std::optional<sdar::v1::RecordedStep>> PlanRecordReader::Next() {
  sdar::v1::RecordedStep step;
  bool at_end = false;
  if (ParseDelimitedFromZeroCopyStream(&step, &stream_, &at_end)) {
    ++num_steps_;
    return step;
  }
  if (at_end) return std::nullopt;
  return absl::DataLossError(
      absl::StrCat(path_, ": breaks off or is damaged after ", num_steps_, " steps"));
}

sdar::v1::RecordedSummary ToRecord(const LogitSummary& summary) {
  sdar::v1::RecordedSummary out;
  out.set_max(summary.max);
  out.set_asked_z(summary.asked_z);
  out.set_sum_exp(summary.sum_exp);
  out.set_sum_weighted(summary.sum_weighted);
  out.set_allowed_sum_exp(summary.allowed_sum_exp);
  out.set_num_allowed(static_cast<uint32_t>(summary.num_allowed));
  out.set_drawn_id(summary.drawn_id);
  out.set_drawn_z(summary.drawn_z);
  out.set_drawn_value(summary.drawn_value);
  for (int i = 0; i < summary.num_candidates; ++i) {
    const Candidate& candidate = summary.candidates[static_cast<size_t>(i)];
    out.add_candidate_ids(static_cast<uint32_t>(candidate.id));
    out.add_candidate_z(candidate.z);
  }
  return out;
}

double Difference(const sdar::v1::RecordedSummary& recorded, const LogitSummary& replayed) {
  const sdar::v1::RecordedSummary now = ToRecord(replayed);
  if (recorded.SerializeAsString() == now.SerializeAsString()) return 0;
  if (recorded.num_allowed() != now.num_allowed() ||
      (recorded.drawn_id() == kNoToken) != (now.drawn_id() == kNoToken)) {
    return std::numeric_limits<double>::infinity();
  }
  return std::max(
      {std::numeric_limits<double>::min(), Distance(recorded.max(), now.max()),
       Distance(recorded.max() + std::log(recorded.sum_exp()), now.max() + std::log(now.sum_exp())),
       Distance(BestZ(recorded), BestZ(now)), Distance(EntropyOf(recorded), EntropyOf(now)),
       Distance(recorded.asked_z(), now.asked_z()),
       Distance(recorded.drawn_value(), now.drawn_value())});
}

}  // namespace sdar
