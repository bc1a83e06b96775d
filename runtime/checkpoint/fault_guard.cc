// SPDX-License-Identifier: Apache-2.0
#include "runtime/checkpoint/fault_guard.h"

#include <array>
#include <csignal>
#include <cstdint>
#include <mutex>

#include <sys/mman.h>
#include <unistd.h>

#include "common/status_macros.h"

namespace sdar {

// A handler of signals gets no argument of ours, so what it needs is of the process: the one place
// where that is so. It takes no lock and allocates nothing.
struct FaultHandler {
  static constexpr size_t kMostMappings = 8192;

  static std::array<std::atomic<FaultGuard*>, kMostMappings> guards;
  static struct sigaction before;  // written once, before any guard is there

  static void Install() {
    static std::once_flag once;
    std::call_once(once, [] {
      struct sigaction action = {};
      action.sa_sigaction = &FaultHandler::Handle;
      action.sa_flags = SA_SIGINFO;
      sigemptyset(&action.sa_mask);
      SDAR_CHECK(sigaction(SIGBUS, &action, &before) == 0);
    });
  }

  static void Handle(int signal, siginfo_t* info, void* context) {
    const bool is_fault = info->si_code > 0;  // and not sent by somebody
    const auto* at = is_fault ? static_cast<const char*>(info->si_addr) : nullptr;
    for (std::atomic<FaultGuard*>& entry : guards) {
      FaultGuard* guard = entry.load();
      if (guard == nullptr || at < guard->begin_ || at >= guard->end_) continue;
      if (!ReplaceFrom(at, guard->end_)) break;
      guard->has_faulted_.store(true);
      return;  // the instruction is tried again
    }
    GoOnAsBefore(signal, info, context);
  }

  // Puts zeros in place of all from the page of `at` to the end of the mapping.
  static bool ReplaceFrom(const char* at, const char* end) {
    const auto page_size = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
    auto* page = const_cast<char*>(at) - reinterpret_cast<uintptr_t>(at) % page_size;
    const auto size = static_cast<size_t>(end - page);
    return mmap(page, size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1,
                0) != MAP_FAILED;
  }

  static void GoOnAsBefore(int signal, siginfo_t* info, void* context) {
    if ((before.sa_flags & SA_SIGINFO) != 0) return before.sa_sigaction(signal, info, context);
    if (before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN) {
      return before.sa_handler(signal);
    }
    std::signal(signal, SIG_DFL);
    std::raise(signal);  // ends the process once this returns
  }
};

std::array<std::atomic<FaultGuard*>, FaultHandler::kMostMappings> FaultHandler::guards;
struct sigaction FaultHandler::before;

FaultGuard::FaultGuard(const void* data, size_t size)
    : begin_(static_cast<const char*>(data)), end_(begin_ + size) {
  FaultHandler::Install();
  for (std::atomic<FaultGuard*>& entry : FaultHandler::guards) {
    FaultGuard* free = nullptr;
    if (entry.compare_exchange_strong(free, this)) return;
  }
  // More files than any checkpoint has: the others go unguarded.
}

FaultGuard::~FaultGuard() {
  for (std::atomic<FaultGuard*>& entry : FaultHandler::guards) {
    FaultGuard* mine = this;
    if (entry.compare_exchange_strong(mine, nullptr)) return;
  }
}

}  // namespace sdar
