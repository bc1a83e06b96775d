// SPDX-License-Identifier: Apache-2.0
// sdar-serve as a test's server: real processes, real gRPC.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <grpcpp/grpcpp.h>

#include "sdar/v1/generation.grpc.pb.h"
#include "tests/launcher/process.h"

namespace sdar {

// What a Generate call brought.
struct Generated {
  grpc::Status status;
  std::string text;
  std::vector<uint32_t> token_ids;
  sdar::v1::Finished finished;
};

class ServedJob {
 public:
  explicit ServedJob(int ranks, const std::vector<std::string>& flags = {},
                     const std::string& model = std::string(SDAR_SOURCE_DIR) + "/models/sdar-tiny")
      : ServedJob(OnRanks(ranks, "sdar-serve", {}), flags, model) {}
  // `launch`: the command line up to the program's flags.
  ServedJob(std::vector<std::string> launch, const std::vector<std::string>& flags,
            const std::string& model = std::string(SDAR_SOURCE_DIR) + "/models/sdar-tiny")
      : address_file_(folder_.File("address")) {
    launch.insert(launch.end(), {"--model=" + model, "--port=0", "--address-file=" + address_file_,
                                 "--http-port=0", "--http-address-file=" + folder_.File("http")});
    launch.insert(launch.end(), flags.begin(), flags.end());
    process_ = std::make_unique<Process>(launch, folder_.File("out"), folder_.File("err"));
    for (int i = 0; i < 6000 && ReadText(address_file_).empty(); ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    address_ = ReadText(address_file_);
    EXPECT_FALSE(address_.empty()) << Log();
    if (!address_.empty()) address_.pop_back();
    channel_ = grpc::CreateChannel(address_, grpc::InsecureChannelCredentials());
    stub_ = sdar::v1::GenerationService::NewStub(channel_);
  }

  const std::string& address() const { return address_; }
  std::string http_address() const {
    const std::string line = ReadText(folder_.File("http"));
    return line.substr(0, line.find('\n'));
  }
  Process& process() { return *process_; }
  std::shared_ptr<grpc::Channel> channel() { return channel_; }
  sdar::v1::GenerationService::Stub& stub() { return *stub_; }
  std::string Log() const { return ReadText(folder_.File("err")); }
  // A word that all processes of this job have on their command lines, mpirun included.
  const std::string& tag() const { return address_file_; }

  // Reads a whole answer; with cancel_after >= 0, closes the call after that many responses.
  Generated Generate(const sdar::v1::GenerateRequest& request, int cancel_after = -1) {
    grpc::ClientContext context;
    auto reader = stub_->Generate(&context, request);
    Generated out;
    sdar::v1::GenerateResponse response;
    for (int i = 0; reader->Read(&response); ++i) {
      if (i == cancel_after) context.TryCancel();
      if (response.has_delta()) {
        out.text += response.delta().text();
        for (uint32_t id : response.delta().token_ids()) out.token_ids.push_back(id);
      }
      if (response.has_finished()) out.finished = response.finished();
    }
    out.status = reader->Finish();
    return out;
  }

  sdar::v1::GetStatusResponse Status() {
    grpc::ClientContext context;
    sdar::v1::GetStatusResponse response;
    const grpc::Status status = stub_->GetStatus(&context, {}, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response;
  }

 private:
  ScratchFolder folder_;
  std::string address_file_;
  std::string address_;
  std::unique_ptr<Process> process_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<sdar::v1::GenerationService::Stub> stub_;
};

// The process of a rank; -1 and a failure when there is none.
inline pid_t PidOfRank(const ServedJob& job, int rank) {
  for (const FoundProcess& process : FindProcesses(job.tag())) {
    if (process.rank == rank) return process.pid;
  }
  ADD_FAILURE() << "no process of rank " << rank;
  return -1;
}

// Waits until `holds` does; false when it does not within half a minute.
template <typename Predicate>
bool Eventually(const Predicate& holds) {
  for (int i = 0; i < 3000; ++i) {
    if (holds()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return false;
}

inline sdar::v1::GenerateRequest Ask(const std::string& question) {
  sdar::v1::GenerateRequest request;
  sdar::v1::ChatMessage& message = *request.mutable_chat()->add_messages();
  message.set_role("user");
  message.set_content(question);
  request.mutable_sampling()->set_temperature(0);
  return request;
}

}  // namespace sdar
