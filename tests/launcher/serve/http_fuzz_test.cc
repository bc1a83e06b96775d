// SPDX-License-Identifier: Apache-2.0
// What comes in over the wire, most of it damaged: requests over HTTP and TLS, messages over gRPC,
// beginnings of connections. SDAR_FUZZ_SCALE multiplies the counts (1 without; 100: a million
// requests over HTTP, a hundred thousand messages and more beginnings).
#include <atomic>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "grpcpp/generic/generic_stub.h"
#include "gtest/gtest.h"

#include "tests/launcher/process_usage.h"
#include "tests/launcher/serve/http_fuzzer.h"
#include "tests/launcher/served_job.h"
#include "tests/launcher/tls_http_client.h"
#include "tests/sanitized.h"

namespace sdar {
namespace {

constexpr int kClients = 4;
// What may stay behind, whatever came.
constexpr double kAllowedGrowthMiB = 32;
constexpr int kAllowedMore = 8;
// Of each client, before memory is noted.
constexpr int kWarmUp = kSanitized ? 20 : 100;

// `count` of a client, fewer under a sanitizer.
int Scaled(int count) {
  const char* scale = std::getenv("SDAR_FUZZ_SCALE");
  const double factor = scale == nullptr ? 1 : std::atof(scale);
  return std::max(10, static_cast<int>(count * factor) / (kSanitized ? 10 : 1));
}

// Runs `work(client, stop)` on several threads.
template <typename Work>
void OnClients(const Work& work) {
  std::vector<std::thread> clients;
  for (unsigned c = 0; c < kClients; ++c) clients.emplace_back([&work, c] { work(c); });
  for (std::thread& client : clients) client.join();
}

// Looks at a job before and after: it serves, says the same, and holds no more.
class Unharmed {
 public:
  explicit Unharmed(ServedJob& job) : job_(job), pid_(job.process().pid()) {
    expected_ = job_.Generate(Ask("Compute 11 + 16.")).text;
    files_ = NumOpenFiles(pid_);
  }
  // What is there once all has been warmed up and the connections of that are closed.
  void NoteBefore() {
    EXPECT_TRUE(Eventually([&] { return NumOpenFiles(pid_) <= files_ + kAllowedMore; }));
    threads_ = NumThreads(pid_);
    memory_ = ResidentMiB(pid_);
  }
  ~Unharmed() {
    EXPECT_EQ(job_.Generate(Ask("Compute 11 + 16.")).text, expected_) << job_.Log();
    EXPECT_TRUE(Eventually([&] {
      const sdar::v1::GetStatusResponse status = job_.Status();
      return status.free_slots() == status.total_slots() && status.waiting() == 0;
    }));
    EXPECT_TRUE(Eventually([&] { return NumOpenFiles(pid_) <= files_ + kAllowedMore; }))
        << files_ << " files, now " << NumOpenFiles(pid_);
    const int grpc_threads = 2 * static_cast<int>(std::thread::hardware_concurrency());
    EXPECT_TRUE(Eventually([&] {
      return NumThreads(pid_) <= threads_ + grpc_threads + kAllowedMore;
    })) << threads_
        << " threads, now " << NumThreads(pid_);
    // The server gives free memory back every few seconds.
    if (!kSanitized) {
      EXPECT_TRUE(Eventually([&] { return ResidentMiB(pid_) - memory_ < kAllowedGrowthMiB; }))
          << memory_ << " MiB, now " << ResidentMiB(pid_);
    }
    std::cout << memory_ << " MiB, " << files_ << " files, " << threads_ << " threads; later "
              << ResidentMiB(pid_) << " MiB, " << NumOpenFiles(pid_) << " files, "
              << NumThreads(pid_) << " threads" << std::endl;
    job_.process().Signal(SIGTERM);
    EXPECT_EQ(job_.process().Wait(20), 0) << job_.Log();
  }

 private:
  ServedJob& job_;
  const pid_t pid_;
  std::string expected_;
  int files_ = 0;
  int threads_ = 0;
  double memory_ = 0;
};

std::vector<std::string> QuietFlags() { return {"--max-sequence-length=64", "--log-level=error"}; }

// Sends requests from several clients and returns how many were answered.
int FuzzHttp(const HttpFuzzer::Connect& connect, const std::string& headers, int requests,
             unsigned seed) {
  std::atomic<int> answered{0};
  OnClients([&](unsigned c) {
    HttpFuzzer fuzzer(connect, headers, seed + c);
    for (int i = 0; i < requests; ++i) answered += fuzzer.Step() ? 1 : 0;
  });
  return answered;
}

TEST(HttpFuzzTest, DamagedRequestsLeaveTheServerServing) {
  ServedJob job(1, QuietFlags());
  Unharmed unharmed(job);
  const auto connect = [&] { return std::make_unique<HttpClient>(job.http_address()); };
  FuzzHttp(connect, "", kWarmUp, 100);
  unharmed.NoteBefore();
  const int requests = Scaled(2'500);
  // The rest was cut off by the client or had no beginning that could be answered.
  EXPECT_GT(FuzzHttp(connect, "", requests, 1), kClients * requests * 8 / 10);
  EXPECT_EQ(HttpClient(job.http_address()).Ask("GET", "/health").code, 200);
}

// A key and a certificate for one test.
void MakeCertificate(const ScratchFolder& folder) {
  const std::string command = absl::StrCat(
      "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj "
      "/CN=localhost -keyout ",
      folder.File("key"), " -out ", folder.File("certificate"), " 2> /dev/null");
  ASSERT_EQ(std::system(command.c_str()), 0);  // NOLINT(cert-env33-c)
}

// Serves with TLS and keys; the test's gRPC calls go to another job.
std::vector<std::string> SecureFlags(const ScratchFolder& folder) {
  WriteText(folder.File("tokens"), "a-token-for-this-test\n");
  return {"--tls-cert=" + folder.File("certificate"), "--tls-key=" + folder.File("key"),
          "--api-keys-file=" + folder.File("tokens"), "--max-sequence-length=64",
          "--log-level=error"};
}

TEST(HttpFuzzTest, DamagedRequestsOverTlsWithAndWithoutAKeyLeaveTheServerServing) {
  ScratchFolder folder;
  MakeCertificate(folder);
  ServedJob job(1, SecureFlags(folder));
  const auto connect = [&] { return std::make_unique<TlsHttpClient>(job.http_address()); };
  const int requests = Scaled(400);
  FuzzHttp(connect, "Authorization: Bearer a-token-for-this-test\r\n", requests, 1);
  FuzzHttp(connect, "", requests, 11);
  FuzzHttp(connect, "Authorization: Bearer wrong\r\n", requests, 21);
  EXPECT_EQ(connect()->Ask("GET", "/health").code, 200);
  job.process().Signal(SIGTERM);
  EXPECT_EQ(job.process().Wait(20), 0) << job.Log();
}

// Starts of connections that are none: random bytes, TLS and HTTP/2 up to some point and changed.
std::string Beginning(std::mt19937& random) {
  const auto below = [&](size_t bound) {
    return std::uniform_int_distribution<size_t>(0, bound - 1)(random);
  };
  static const std::string preface("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0", 33);
  static const std::string hello("\x16\x03\x01\x00\x75\x01\x00\x00\x71\x03\x03", 11);
  std::string bytes = below(3) == 0 ? preface : below(2) == 0 ? hello : "";
  for (size_t i = below(200); i > 0; --i) bytes += static_cast<char>(below(256));
  if (below(3) == 0) bytes.resize(below(bytes.size() + 1));
  if (!bytes.empty() && below(3) == 0) bytes[below(bytes.size())] = static_cast<char>(below(256));
  return bytes;
}

void SendBeginnings(const std::string& address, int count, unsigned seed) {
  OnClients([&](unsigned c) {
    std::mt19937 random(seed + c);
    for (int i = 0; i < count; ++i) HttpClient(address).Send(Beginning(random));
  });
}

TEST(HttpFuzzTest, BadBeginningsLeaveBothPortsServing) {
  ScratchFolder folder;
  MakeCertificate(folder);
  ServedJob secure(1, SecureFlags(folder));
  ServedJob job(1, QuietFlags());
  Unharmed unharmed(job);
  SendBeginnings(job.address(), kWarmUp, 7);
  SendBeginnings(job.http_address(), kWarmUp, 8);
  unharmed.NoteBefore();
  for (const std::string& address :
       {job.address(), job.http_address(), secure.address(), secure.http_address()}) {
    SendBeginnings(address, Scaled(100), 1);
  }
  EXPECT_EQ(HttpClient(job.http_address()).Ask("GET", "/health").code, 200);
  EXPECT_EQ(TlsHttpClient(secure.http_address()).Ask("GET", "/health").code, 200);
}

// A GenerateRequest, changed.
std::string DamagedMessage(std::mt19937& random) {
  const auto below = [&](size_t bound) {
    return std::uniform_int_distribution<size_t>(0, bound - 1)(random);
  };
  sdar::v1::GenerateRequest request = Ask("Hi");
  request.mutable_stopping()->set_max_tokens(static_cast<uint32_t>(1 + below(3)));
  request.mutable_stopping()->add_stop_token_ids(static_cast<uint32_t>(below(2000)));
  request.mutable_sampling()->set_n(static_cast<uint32_t>(1 + below(3)));
  if (below(5) == 0) request.set_request_id(std::string(below(300), 'x'));
  std::string bytes = request.SerializeAsString();
  for (size_t i = below(4); i > 0; --i) {
    const size_t at = below(bytes.size());
    if (below(2) == 0)
      bytes[at] = static_cast<char>(below(256));
    else
      bytes.insert(at, bytes.substr(below(bytes.size()), 20));
  }
  return bytes;
}

TEST(GrpcFuzzTest, DamagedMessagesLeaveTheServerServing) {
  constexpr const char* kMethods[] = {"Generate",  "Tokenize",     "Detokenize", "Abort",
                                      "GetStatus", "GetModelInfo", "Nothing"};
  ServedJob job(1, QuietFlags());
  Unharmed unharmed(job);
  const auto fuzz = [&](int count, unsigned seed) {
    OnClients([&](unsigned c) {
      std::mt19937 random(seed + c);
      grpc::GenericStub stub(
          grpc::CreateChannel(job.address(), grpc::InsecureChannelCredentials()));
      for (int i = 0; i < count; ++i) {
        const std::string method =
            absl::StrCat("/sdar.v1.GenerationService/", kMethods[i % std::size(kMethods)]);
        const grpc::Slice slice(DamagedMessage(random));
        const grpc::ByteBuffer message(&slice, 1);
        grpc::ClientContext context;
        context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(60));
        grpc::CompletionQueue queue;
        const auto call = stub.PrepareCall(&context, method, &queue);
        call->StartCall(nullptr);
        void* tag;
        bool ok;
        queue.Next(&tag, &ok);
        call->WriteLast(message, {}, nullptr);
        queue.Next(&tag, &ok);
        grpc::ByteBuffer answer;
        do {
          call->Read(&answer, nullptr);
        } while (queue.Next(&tag, &ok) && ok);
        grpc::Status status;
        call->Finish(&status, nullptr);
        queue.Next(&tag, &ok);
        EXPECT_NE(status.error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
      }
    });
  };
  fuzz(kWarmUp, 100);
  unharmed.NoteBefore();
  fuzz(Scaled(250), 1);
}

}  // namespace
}  // namespace sdar
