// SPDX-License-Identifier: Apache-2.0
#include "runtime/server/metrics/process_families.h"

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include <sys/resource.h>
#include <unistd.h>

namespace sdar {
namespace {

using prometheus::MetricFamily;
using prometheus::MetricType;

void AddOne(MetricType type, const char* name, const char* help, double value,
            std::vector<MetricFamily>& out) {
  MetricFamily& family = out.emplace_back();
  family.name = name;
  family.help = help;
  family.type = type;
  prometheus::ClientMetric& metric = family.metric.emplace_back();
  (type == MetricType::Counter ? metric.counter.value : metric.gauge.value) = value;
}

// A file that has no size until it is read; empty where it cannot be.
std::string ReadProc(const char* path) {
  std::ifstream file(path);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

// The fields of /proc/self/stat behind the name, which may hold anything. Field 3 of proc(5) is the
// first of them.
std::vector<std::string> StatFields() {
  const std::string text = ReadProc("/proc/self/stat");
  const size_t name_end = text.rfind(')');
  if (name_end == std::string::npos) return {};
  return absl::StrSplit(absl::string_view(text).substr(name_end + 1), absl::ByAnyChar(" \n"),
                        absl::SkipEmpty());
}

std::optional<double> Field(const std::vector<std::string>& fields, size_t number) {
  constexpr size_t kFirst = 3;
  double value = 0;
  const size_t index = number - kFirst;
  if (index >= fields.size() || !absl::SimpleAtod(fields[index], &value)) return std::nullopt;
  return value;
}

// When the machine started, in Unix seconds.
std::optional<double> BootTime() {
  const std::string text = ReadProc("/proc/stat");
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    const std::vector<absl::string_view> words = absl::StrSplit(line, ' ');
    double value = 0;
    if (words.size() == 2 && words[0] == "btime" && absl::SimpleAtod(words[1], &value)) {
      return value;
    }
  }
  return std::nullopt;
}

void AddDescriptors(std::vector<MetricFamily>& out) {
  std::error_code error;
  int64_t open = 0;
  for (std::filesystem::directory_iterator at("/proc/self/fd", error), end; !error && at != end;
       at.increment(error)) {
    ++open;
  }
  if (!error) {
    AddOne(MetricType::Gauge, "process_open_fds", "Open file descriptors.",
           static_cast<double>(open), out);
  }
  rlimit limit = {};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  AddOne(MetricType::Gauge, "process_max_fds", "Open file descriptors at most.",
         static_cast<double>(limit.rlim_cur), out);
}

}  // namespace

std::vector<MetricFamily> ProcessFamilies() {
  std::vector<MetricFamily> out;
  const auto ticks = static_cast<double>(sysconf(_SC_CLK_TCK));
  const auto page = static_cast<double>(sysconf(_SC_PAGESIZE));
  const std::vector<std::string> fields = StatFields();
  const auto user = Field(fields, 14), system = Field(fields, 15);
  if (user && system) {
    AddOne(MetricType::Counter, "process_cpu_seconds_total", "Processor time, of user and system.",
           (*user + *system) / ticks, out);
  }
  if (const auto threads = Field(fields, 20)) {
    AddOne(MetricType::Gauge, "process_threads", "Threads.", *threads, out);
  }
  const auto started = Field(fields, 22), booted = BootTime();
  if (started && booted) {
    AddOne(MetricType::Gauge, "process_start_time_seconds", "When the process started, Unix time.",
           *booted + *started / ticks, out);
  }
  if (const auto size = Field(fields, 23)) {
    AddOne(MetricType::Gauge, "process_virtual_memory_bytes", "Virtual memory.", *size, out);
  }
  if (const auto pages = Field(fields, 24)) {
    AddOne(MetricType::Gauge, "process_resident_memory_bytes", "Memory that is resident.",
           *pages * page, out);
  }
  AddDescriptors(out);
  return out;
}

}  // namespace sdar
