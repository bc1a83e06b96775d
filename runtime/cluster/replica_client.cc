// SPDX-License-Identifier: Apache-2.0
#include "runtime/cluster/replica_client.h"

#include <utility>

#include "runtime/cluster/replica_messages.h"

namespace sdar {
namespace {

using sdar::v1::FromReplica;
using sdar::v1::ToReplica;

// How old what rank 0 knows of an otherwise silent replica may be.
constexpr absl::Duration kStatusInterval = absl::Milliseconds(100);

std::shared_ptr<grpc::Channel> OpenChannel(const std::string& address) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(-1);  // both ends are ours
  return grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments);
}

}  // namespace

ReplicaClient::ReplicaClient(int replica, const std::string& address, Replica engine,
                             std::function<void(const absl::Status&)> stop)
    : replica_(replica),
      engine_(std::move(engine)),
      stop_(std::move(stop)),
      stub_(sdar::v1::ReplicaService::NewStub(OpenChannel(address))) {
  context_.set_wait_for_ready(true);
  stream_ = stub_->Serve(&context_);
  reader_ = std::thread([this] { ReadLoop(); });
  writer_ = std::thread([this] { WriteLoop(); });
}

ReplicaClient::~ReplicaClient() {
  context_.TryCancel();
  Finish();
}

void ReplicaClient::Finish() {
  if (!writer_.joinable()) return;
  {
    absl::MutexLock lock(&mutex_);
    closing_ = true;
    news_.NotifyAll();
  }
  writer_.join();
  reader_.join();  // rank 0 ends the stream once it has read to our end
  stream_->Finish();
}

// Rank 0's end without an order to stop is the watchdog's to notice.
void ReplicaClient::ReadLoop() {
  ToReplica order;
  while (stream_->Read(&order)) {
    switch (order.order_case()) {
      case ToReplica::kSubmit:
        Take(order.submit());
        break;
      case ToReplica::kCancel:
        Cancel(order.cancel());
        break;
      case ToReplica::kStop:
        stop_(FromMessage(order.stop()));
        break;
      case ToReplica::ORDER_NOT_SET:
        break;
    }
  }
}

void ReplicaClient::Take(const sdar::v1::SubmitSequences& order) {
  std::vector<Submission> samples;
  const SteadyTime now = SteadyTime::Now();
  for (const auto& sequence : order.sequences()) {
    samples.push_back({FromMessage(sequence.request(), now),
                       [this, ticket = sequence.ticket()](const SequenceUpdate& update) {
                         Report(ticket, update);
                       }});
  }
  {
    // Known before the engine is, so that an end that comes first finds what it ends.
    absl::MutexLock lock(&mutex_);
    for (const auto& sequence : order.sequences()) open_[sequence.ticket()] = SequenceId();
  }
  const auto ids = engine_.submit(std::move(samples));
  if (!ids.ok()) {
    SequenceUpdate refused;
    refused.end.emplace();
    refused.end->status = ids.status();
    for (const auto& sequence : order.sequences()) Report(sequence.ticket(), refused);
    return;
  }
  absl::MutexLock lock(&mutex_);
  for (size_t i = 0; i < ids->size(); ++i) {
    const auto open = open_.find(order.sequences(static_cast<int>(i)).ticket());
    if (open != open_.end()) open->second = (*ids)[i];
  }
}

// Comes on the thread that Take ran on, so that the engine's id is there.
void ReplicaClient::Cancel(const sdar::v1::CancelSequence& order) {
  SequenceId id;
  {
    absl::MutexLock lock(&mutex_);
    const auto open = open_.find(order.ticket());
    if (open == open_.end()) return;
    id = open->second;
  }
  engine_.cancel(id, FromMessage(order.status()));
}

void ReplicaClient::Report(uint64_t ticket, const SequenceUpdate& update) {
  FromReplica::Update message;
  message.set_ticket(ticket);
  *message.mutable_news() = ToMessage(update, SteadyTime::Now());
  absl::MutexLock lock(&mutex_);
  if (update.end) open_.erase(ticket);
  updates_.push_back(std::move(message));
  news_.NotifyAll();
}

// Every message brings the engine's status; one is sent for the status alone when it has changed.
void ReplicaClient::WriteLoop() {
  std::string last_status;
  for (bool first = true, closing = false; !closing; first = false) {
    std::vector<FromReplica::Update> updates;
    if (!first) {
      absl::MutexLock lock(&mutex_);
      news_.AwaitUntil(mutex_, SteadyTime::Now() + kStatusInterval,
                       [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return HasNews(); });
      updates.swap(updates_);
      closing = closing_;
    }
    FromReplica news;
    news.set_replica(static_cast<uint32_t>(replica_));
    *news.mutable_status() = ToMessage(engine_.status(), SteadyTime::Now());
    for (FromReplica::Update& update : updates) *news.add_updates() = std::move(update);
    sdar::v1::ReplicaStatus lasting = news.status();
    lasting.clear_last_step_age_nanos();  // finished_steps tells whether there was another
    const std::string status = lasting.SerializeAsString();
    if (updates.empty() && status == last_status) continue;
    last_status = status;
    if (!stream_->Write(news)) return;
  }
  stream_->WritesDone();
}

}  // namespace sdar
