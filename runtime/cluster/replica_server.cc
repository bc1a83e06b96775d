// SPDX-License-Identifier: Apache-2.0
#include "runtime/cluster/replica_server.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

#include "runtime/cluster/replica_messages.h"

namespace sdar {

using sdar::v1::FromReplica;
using sdar::v1::ToReplica;

// One replica's stream; deletes itself when the call is done.
class ReplicaServer::Stream : public grpc::ServerBidiReactor<FromReplica, ToReplica> {
 public:
  explicit Stream(ReplicaServer& server) : server_(server) { StartRead(&news_); }

  void OnReadDone(bool ok) override {
    if (!ok) {
      Finish(grpc::Status::OK);
      return;
    }
    server_.Heard(this, news_);
    StartRead(&news_);
  }
  void OnWriteDone(bool ok) override {
    if (ok) server_.Written(replica);
  }
  void OnDone() override {
    server_.Gone(this);
    delete this;
  }

  size_t replica = 0;  // known from the first message; 0: not yet

 private:
  ReplicaServer& server_;
  FromReplica news_;
};

class ReplicaServer::Service : public sdar::v1::ReplicaService::CallbackService {
 public:
  explicit Service(ReplicaServer& server) : server_(server) {}
  grpc::ServerBidiReactor<FromReplica, ToReplica>* Serve(grpc::CallbackServerContext*) override {
    return new Stream(server_);
  }

 private:
  ReplicaServer& server_;
};

ReplicaServer::ReplicaServer(int num_replicas, std::function<void(const absl::Status&)> on_lost)
    : on_lost_(std::move(on_lost)),
      service_(std::make_unique<Service>(*this)),
      remotes_(static_cast<size_t>(num_replicas)) {}

ReplicaServer::~ReplicaServer() = default;

grpc::Service* ReplicaServer::service() { return service_.get(); }

absl::Status ReplicaServer::AwaitReplicas(absl::Duration timeout) {
  absl::MutexLock lock(&mutex_);
  std::vector<size_t> missing;
  const auto all_here = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    missing.clear();
    for (size_t r = 1; r < remotes_.size(); ++r) {
      if (remotes_[r].stream == nullptr) missing.push_back(r);
    }
    return missing.empty();
  };
  if (connected_.AwaitUntil(mutex_, SteadyTime::Now() + timeout, all_here)) {
    return absl::OkStatus();
  }
  return absl::DeadlineExceededError(absl::StrCat("replicas that have not reached rank 0 in ",
                                                  absl::FormatDuration(timeout), ": ",
                                                  absl::StrJoin(missing, ", ")));
}

Replica ReplicaServer::AsReplica(int replica) {
  const auto index = static_cast<size_t>(replica);
  const auto cancel = [this, index](SequenceId id, const absl::Status& status) {
    ToReplica order;
    order.mutable_cancel()->set_ticket(id.value());
    *order.mutable_cancel()->mutable_status() = ToMessage(status);
    absl::MutexLock lock(&mutex_);
    Remote& remote = remotes_[index];
    if (remote.open.contains(id.value())) Send(remote, std::move(order));
  };
  const auto status = [this, index] {
    absl::MutexLock lock(&mutex_);
    return remotes_[index].status;
  };
  return {
      [this, index](std::vector<Submission> samples) { return Submit(index, std::move(samples)); },
      cancel, status};
}

absl::StatusOr<std::vector<SequenceId>> ReplicaServer::Submit(size_t replica,
                                                              std::vector<Submission> samples) {
  const SteadyTime now = SteadyTime::Now();
  ToReplica order;  // filled without the lock, but for the tickets
  for (const Submission& sample : samples) {
    *order.mutable_submit()->add_sequences()->mutable_request() = ToMessage(sample.request, now);
  }
  absl::MutexLock lock(&mutex_);
  Remote& remote = remotes_[replica];
  if (remote.stream == nullptr || remote.stopping) {
    return absl::UnavailableError(absl::StrCat("replica ", replica, " has left"));
  }
  std::vector<SequenceId> ids;
  for (size_t i = 0; i < samples.size(); ++i) {
    const uint64_t ticket = remote.next_ticket++;
    order.mutable_submit()->mutable_sequences(static_cast<int>(i))->set_ticket(ticket);
    remote.open.emplace(ticket, std::move(samples[i].callback));
    ids.emplace_back(ticket);
  }
  Send(remote, std::move(order));
  return ids;
}

void ReplicaServer::Stop(const absl::Status& status) {
  absl::MutexLock lock(&mutex_);
  for (Remote& remote : remotes_) {
    if (remote.stopping) continue;
    remote.stopping = true;
    ToReplica order;
    *order.mutable_stop() = ToMessage(status);
    Send(remote, std::move(order));
  }
}

void ReplicaServer::Send(Remote& remote, ToReplica order) {
  remote.orders.push_back(std::move(order));
  WriteNext(remote);
}

void ReplicaServer::WriteNext(Remote& remote) {
  if (remote.stream == nullptr || remote.writing || remote.orders.empty()) return;
  remote.writing = true;
  remote.stream->StartWrite(&remote.orders.front());
}

void ReplicaServer::Written(size_t replica) {
  absl::MutexLock lock(&mutex_);
  Remote& remote = remotes_[replica];
  remote.writing = false;
  remote.orders.pop_front();
  WriteNext(remote);
}

void ReplicaServer::Heard(Stream* stream, const FromReplica& news) {
  const size_t replica = news.replica();
  {
    absl::MutexLock lock(&mutex_);
    if (replica == 0 || replica >= remotes_.size()) return;
    Remote& remote = remotes_[replica];
    if (stream->replica == 0) {
      stream->replica = replica;
      remote.stream = stream;
      connected_.NotifyAll();
      WriteNext(remote);
    }
    if (news.has_status()) remote.status = FromMessage(news.status(), SteadyTime::Now());
  }
  for (const FromReplica::Update& update : news.updates()) Deliver(replica, update);
}

void ReplicaServer::Deliver(size_t replica, const FromReplica::Update& update) {
  UpdateCallback callback;
  {
    absl::MutexLock lock(&mutex_);
    auto& open = remotes_[replica].open;
    const auto found = open.find(update.ticket());
    if (found == open.end()) return;
    if (update.news().has_end()) {
      callback = std::move(found->second);
      open.erase(found);
    } else {
      callback = found->second;
    }
  }
  callback(FromMessage(update.news(), SteadyTime::Now()));
}

void ReplicaServer::Gone(Stream* stream) {
  bool expected;
  {
    absl::MutexLock lock(&mutex_);
    if (stream->replica == 0) return;
    Remote& remote = remotes_[stream->replica];
    remote.stream = nullptr;
    expected = remote.stopping;
  }
  if (expected) return;
  on_lost_(absl::UnavailableError(absl::StrCat("replica ", stream->replica, " is gone")));
}

}  // namespace sdar
