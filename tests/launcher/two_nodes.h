// SPDX-License-Identifier: Apache-2.0
// Two hosts in one machine: network namespaces with host names of their own, joined by a cable that
// a test can cut.
#pragma once

#include <cstdlib>
#include <string>
#include <vector>

#include <fcntl.h>
#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/launcher/process.h"

namespace sdar {

// Needs root, and a kernel that gives namespaces.
class TwoNodes {
 public:
  TwoNodes() : prefix_("sdar" + std::to_string(getpid())) {
    WriteText(folder_.File("hosts"), "127.0.0.1 localhost\n10.77.0.1 node-a\n10.77.0.2 node-b\n");
    WriteText(agent(), "#!/bin/sh\nshift\nexec " + Inside("b") + " sh -c \"$*\"\n");
    WriteText(folder_.File("launch"), "#!/bin/sh\nexec " + Inside("a") + " \"$@\"\n");
    chmod(agent().c_str(), 0700);
    chmod(folder_.File("launch").c_str(), 0700);
    made_ = Run("ip netns add " + Name("a")) && Run("ip netns add " + Name("b")) &&
            Run("ip link add veth0 netns " + Name("a") + " type veth peer name veth0 netns " +
                Name("b")) &&
            Configure("a", "10.77.0.1") && Configure("b", "10.77.0.2") &&
            Run(folder_.File("launch") + " true");
  }
  ~TwoNodes() {
    Run("ip netns del " + Name("a"));
    Run("ip netns del " + Name("b"));
  }
  TwoNodes(const TwoNodes&) = delete;
  TwoNodes& operator=(const TwoNodes&) = delete;

  // False where such nodes cannot be made.
  bool made() const { return made_; }

  // Moves this thread, and what it starts from now on, to the first node's network.
  bool Enter() const {
    const int netns = open(("/run/netns/" + Name("a")).c_str(), O_RDONLY | O_CLOEXEC);
    const bool entered = setns(netns, CLONE_NEWNET) == 0;
    close(netns);
    return entered;
  }

  // The command line that starts a program with one rank on each node, the first on the first.
  std::vector<std::string> OnBoth(const std::string& program) const {
    std::vector<std::string> command = {folder_.File("launch"), "mpirun", "--allow-run-as-root"};
    const auto set = [&](const std::string& name, const std::string& value) {
      command.insert(command.end(), {"--mca", name, value});
    };
    set("plm_rsh_agent", agent());
    set("btl", "self,tcp");
    // mpirun must miss a lost node before the ranks do, that is within five seconds. Once it or its
    // daemon has written to the connection, TCP repeats that for a quarter of an hour instead.
    set("oob_tcp_keepalive_time", "1");
    set("oob_tcp_keepalive_intvl", "1");
    set("oob_tcp_keepalive_probes", "3");
    command.insert(command.end(), {"--bind-to", "none", "--host", "node-a:1,node-b:1", "-n", "2",
                                   std::string(SDAR_BIN_DIR) + "/" + program});
    return command;
  }
  // The command line that runs `command` on a node, "a" or "b".
  std::vector<std::string> On(const std::string& node,
                              const std::vector<std::string>& command) const {
    std::vector<std::string> words = {"sh", "-c", "exec " + Inside(node) + " \"$@\"", "sh"};
    words.insert(words.end(), command.begin(), command.end());
    return words;
  }
  // Ends every process of a node.
  bool KillAll(const std::string& node) const {
    return Run("ip netns pids " + Name(node) + " | xargs -r kill -9");
  }

  // A word on the command lines of mpirun and of its daemon on the other node.
  std::string agent() const { return folder_.File("agent"); }

  // From now on nothing sent by one node reaches the other, and nobody is told: every frame goes to
  // an address that no one has.
  bool Cut() const {
    const std::string nobody = " lladdr 02:00:00:00:00:99 dev veth0 nud permanent";
    return Run("ip -n " + Name("a") + " neigh replace 10.77.0.2" + nobody) &&
           Run("ip -n " + Name("b") + " neigh replace 10.77.0.1" + nobody);
  }
  bool Mend() const {
    return Run("ip -n " + Name("a") + " neigh del 10.77.0.2 dev veth0") &&
           Run("ip -n " + Name("b") + " neigh del 10.77.0.1 dev veth0");
  }

 private:
  std::string Name(const std::string& node) const { return prefix_ + node; }

  // What a shell writes before a command that is to run on the node.
  std::string Inside(const std::string& node) const {
    return "ip netns exec " + Name(node) + " unshare --uts sh -c 'mount --bind " +
           folder_.File("hosts") + " /etc/hosts && hostname node-" + node + " && exec \"$@\"' sh";
  }

  bool Configure(const std::string& node, const std::string& address) const {
    const std::string ip = "ip -n " + Name(node) + " ";
    return Run(ip + "address add " + address + "/24 dev veth0") && Run(ip + "link set veth0 up") &&
           Run(ip + "link set lo up");
  }

  static bool Run(const std::string& command) {
    return std::system((command + " > /dev/null 2>&1").c_str()) == 0;
  }

  ScratchFolder folder_;
  const std::string prefix_;
  bool made_ = false;
};

}  // namespace sdar
