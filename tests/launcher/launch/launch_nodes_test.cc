// SPDX-License-Identifier: Apache-2.0
// sdar-launch on two machines that reach each other by ssh.
#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <thread>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include <grpcpp/grpcpp.h>

#include "tests/launcher/open_call.h"
#include "tests/launcher/served_job.h"
#include "tests/launcher/two_nodes.h"

namespace sdar {
namespace {

// What the ranks that sshd starts should find in their environment too, as a line of its
// configuration.
std::string SanitizerOptions() {
  std::string line;
  for (const char* name : {"ASAN_OPTIONS", "LSAN_OPTIONS", "UBSAN_OPTIONS"}) {
    if (const char* value = std::getenv(name)) line += std::string(" ") + name + "=" + value;
  }
  return line.empty() ? "" : "SetEnv" + line + "\n";
}

// The second node's sshd and what a client needs to reach it. Runs as root, like the nodes.
class Ssh {
 public:
  explicit Ssh(const TwoNodes& nodes) : nodes_(nodes) {
    std::filesystem::create_directories("/run/sshd");
    for (const char* key : {"host_key", "key"}) {
      const Outcome made =
          RunProcess({"ssh-keygen", "-q", "-t", "ecdsa", "-N", "", "-f", folder_.File(key)});
      EXPECT_EQ(made.exit_code, 0) << made.err;
    }
    WriteText(folder_.File("sshd_config"),
              "Port 2222\nUsePAM no\nStrictModes no\nPidFile none\nPermitRootLogin yes\nHostKey " +
                  folder_.File("host_key") + "\nAuthorizedKeysFile " + folder_.File("key.pub") +
                  "\n" + SanitizerOptions());
    WriteText(folder_.File("ssh_config"),
              "Host *\nPort 2222\nBatchMode yes\nStrictHostKeyChecking no\nLogLevel ERROR\n"
              "UserKnownHostsFile /dev/null\nIdentityFile " +
                  folder_.File("key") + "\n");
  }
  void Start() {
    sshd_ = std::make_unique<Process>(
        nodes_.On("b", {"/usr/sbin/sshd", "-D", "-e", "-f", folder_.File("sshd_config")}),
        folder_.File("out"), folder_.File("err"));
  }
  std::vector<std::string> Launch() const {
    return nodes_.On("a", {std::string(SDAR_BIN_DIR) + "/sdar-launch", "--hosts=node-a:1,node-b:1",
                           "--ssh-args=-F " + folder_.File("ssh_config"), "--ssh-port=2222", "--",
                           "sdar-serve"});
  }

 private:
  const TwoNodes& nodes_;
  ScratchFolder folder_;
  std::unique_ptr<Process> sshd_;
};

// A job on two nodes; every test has its own.
class LaunchNodesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!nodes_.made() || !nodes_.Enter()) {
      GTEST_SKIP() << "no network namespaces here (they need root): two nodes were not tested";
    }
    if (!std::filesystem::exists("/usr/sbin/sshd")) {
      GTEST_SKIP() << "no sshd here (openssh-server): two nodes were not tested";
    }
    ssh_ = std::make_unique<Ssh>(nodes_);
  }
  void TearDown() override { nodes_.KillAll("b"); }

  void StartJob() {
    ssh_->Start();
    job_ = std::make_unique<ServedJob>(ssh_->Launch(), std::vector<std::string>());
  }
  // Waits until a job that was started again answers.
  void ExpectServesAgain(const std::string& first_address) {
    ASSERT_TRUE(Eventually([&] { return ReadText(job_->tag()) != first_address; })) << job_->Log();
    const std::string address = ReadText(job_->tag());
    const auto stub = sdar::v1::GenerationService::NewStub(grpc::CreateChannel(
        address.substr(0, address.find('\n')), grpc::InsecureChannelCredentials()));
    grpc::ClientContext context;
    sdar::v1::GetModelInfoResponse info;
    const grpc::Status status = stub->GetModelInfo(&context, {}, &info);
    EXPECT_TRUE(status.ok()) << status.error_message();
    EXPECT_EQ(info.ranks(), 2);
  }
  void ExpectDrains() {
    job_->process().Signal(SIGTERM);
    EXPECT_EQ(job_->process().Wait(20), 0) << job_->Log();
    EXPECT_TRUE(AllGone(job_->tag(), 5));
  }
  bool Logged(const std::string& words) { return job_->Log().find(words) != std::string::npos; }

  TwoNodes nodes_;
  std::unique_ptr<Ssh> ssh_;
  std::unique_ptr<ServedJob> job_;
};

// Asks again and again until it is refused. How many answers came; -1 when one that had begun was
// lost.
int AskUntilRefused(ServedJob& job) {
  for (int answered = 0;; ++answered) {
    sdar::v1::GenerateRequest request = Ask("What is tensor parallelism?");
    request.mutable_stopping()->set_max_tokens(64);
    const Generated answer = job.Generate(request);
    if (answer.status.ok()) continue;
    const bool refused = answer.status.error_code() == grpc::StatusCode::UNAVAILABLE;
    if (refused && answer.token_ids.empty()) return answered;
    ADD_FAILURE() << answer.status.error_code() << ": " << answer.status.error_message()
                  << " after " << answer.token_ids.size() << " tokens";
    return -1;
  }
}

TEST_F(LaunchNodesTest, DrainsUnderLoadWithoutLosingAnAnswer) {
  StartJob();
  std::atomic<int> answered{0};
  std::atomic<int> lost{0};
  std::vector<std::thread> clients;
  for (int i = 0; i < 8; ++i) {
    clients.emplace_back([&] {
      const int count = AskUntilRefused(*job_);
      count < 0 ? lost.fetch_add(1) : answered.fetch_add(count);
    });
  }
  EXPECT_TRUE(Eventually([&] { return job_->Status().finished_steps() > 50; }));
  ExpectDrains();
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(lost, 0) << job_->Log();
  EXPECT_GT(answered, 0);
}

TEST_F(LaunchNodesTest, WaitsForAMachineThatIsNotUpYet) {
  const ScratchFolder folder;
  const std::string address = folder.File("address");
  std::vector<std::string> command = ssh_->Launch();
  command.insert(command.end(), {std::string("--model=") + SDAR_SOURCE_DIR + "/models/sdar-tiny",
                                 "--port=0", "--http-port=-1", "--address-file=" + address});
  Process job(command, folder.File("out"), folder.File("err"));
  const auto log = [&] { return ReadText(folder.File("err")); };
  ASSERT_TRUE(Eventually([&] {
    return log().find("waiting for 1 machine(s): node-b:2222") != std::string::npos;
  })) << log();
  ssh_->Start();
  EXPECT_TRUE(Eventually([&] { return !ReadText(address).empty(); })) << log();
  job.Signal(SIGTERM);
  EXPECT_EQ(job.Wait(20), 0) << log();
  EXPECT_TRUE(AllGone(address, 5));
}

TEST_F(LaunchNodesTest, ALostMachineIsNoticedWithinFifteenSecondsAndUsedAgainWhenItIsBack) {
  StartJob();
  const std::string first_address = ReadText(job_->tag());
  OpenCall call(*job_);
  const Stopwatch since_loss;
  ASSERT_TRUE(nodes_.KillAll("b"));
  EXPECT_FALSE(call.Finish().ok());
  EXPECT_TRUE(Eventually([&] { return Logged("start 2 follows"); })) << job_->Log();
  EXPECT_LT(since_loss.Seconds(), kFailureSeconds);
  EXPECT_TRUE(Eventually([&] { return Logged("waiting for 1 machine(s)"); })) << job_->Log();
  ssh_->Start();
  ExpectServesAgain(first_address);
  ExpectDrains();
}

TEST_F(LaunchNodesTest,
       ACutNetworkIsNoticedWithinFifteenSecondsAndTheJobServesAgainOnceItIsMended) {
  StartJob();
  const std::string first_address = ReadText(job_->tag());
  const pid_t far_rank = PidOfRank(*job_, 1);
  OpenCall call(*job_);
  const Stopwatch since_cut;
  ASSERT_TRUE(nodes_.Cut());
  EXPECT_FALSE(call.Finish().ok());
  EXPECT_TRUE(Eventually([&] { return Logged("start 2 follows"); })) << job_->Log();
  EXPECT_LT(since_cut.Seconds(), kFailureSeconds) << job_->Log();
  EXPECT_TRUE(Eventually([&] { return kill(far_rank, 0) != 0; }));
  EXPECT_TRUE(Eventually([&] { return Logged("waiting for 1 machine(s)"); })) << job_->Log();
  ASSERT_TRUE(nodes_.Mend());
  ExpectServesAgain(first_address);
  ExpectDrains();
}

}  // namespace
}  // namespace sdar
