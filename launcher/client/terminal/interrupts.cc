// SPDX-License-Identifier: Apache-2.0
#include "launcher/client/terminal/interrupts.h"

#include <csignal>
#include <cstdint>
#include <utility>

#include <sys/eventfd.h>
#include <unistd.h>

#include "common/status_macros.h"

namespace sdar {
namespace {

constexpr int kInterruptedCode = 130;

sigset_t WaitedSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGINT, SIGWINCH, SIGCONT}) sigaddset(&signals, signal);
  sigaddset(&signals, SIGUSR1);  // ends the waiting thread
  return signals;
}

}  // namespace

Interrupts::Interrupts() : event_fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  SDAR_CHECK(event_fd_ >= 0);
  const sigset_t signals = WaitedSignals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  waiter_ = std::thread([this] { WaitForSignals(); });
}

Interrupts::~Interrupts() {
  pthread_kill(waiter_.native_handle(), SIGUSR1);
  waiter_.join();
  close(event_fd_);
}

void Interrupts::WaitForSignals() {
  const sigset_t signals = WaitedSignals();
  for (int signal = 0; sigwait(&signals, &signal) == 0 && signal != SIGUSR1;) {
    const absl::MutexLock lock(&mutex_);
    if (signal == SIGWINCH) {
      Keep(&Events::resized);
    } else if (signal == SIGCONT) {
      Keep(&Events::resumed);
    } else if (cancel_ != nullptr) {
      cancelled_ = true;
      cancel_();
    } else if (keeps_events_) {
      Keep(&Events::interrupted);
    } else {
      static_cast<void>(!write(STDERR_FILENO, "\n", 1));
      _exit(kInterruptedCode);
    }
  }
}

void Interrupts::Keep(bool Events::*event) {
  if (!keeps_events_) return;
  events_.*event = true;
  eventfd_write(event_fd_, 1);
}

void Interrupts::Begin(std::function<void()> cancel) {
  const absl::MutexLock lock(&mutex_);
  SDAR_CHECK(cancel_ == nullptr);
  cancel_ = std::move(cancel);
  // The user has seen the question sent and not the call begin.
  cancelled_ = std::exchange(events_.interrupted, false);
  if (cancelled_) cancel_();
}

bool Interrupts::End() {
  const absl::MutexLock lock(&mutex_);
  cancel_ = nullptr;
  return cancelled_;
}

void Interrupts::KeepEvents() {
  const absl::MutexLock lock(&mutex_);
  keeps_events_ = true;
}

Interrupts::Events Interrupts::TakeEvents() {
  const absl::MutexLock lock(&mutex_);
  eventfd_t count = 0;
  eventfd_read(event_fd_, &count);
  return std::exchange(events_, {});
}

}  // namespace sdar
