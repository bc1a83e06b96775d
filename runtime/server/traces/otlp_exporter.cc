// SPDX-License-Identifier: Apache-2.0
#include "runtime/server/traces/otlp_exporter.h"

#include <algorithm>
#include <iterator>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

#include "common/log.h"
#include "common/percent_encoding.h"
#include "common/shorten.h"
#include "common/steady_time.h"
#include "runtime/server/traces/otlp_post.h"

namespace sdar {
namespace {

constexpr char kTracesPath[] = "/v1/traces";
// Spans of one request.
constexpr size_t kMaxBatch = 1024;
// Between two lines of the log about a collector that does not take spans.
constexpr absl::Duration kLogInterval = absl::Minutes(1);

bool IsVisible(absl::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c < 0x7f; });
}

absl::Status Malformed(absl::string_view url) {
  return absl::InvalidArgumentError(
      absl::StrCat("expected http://HOST[:PORT][/PATH] or https, got '", Shorten(url), "'"));
}

// HOST or [HOST], and :PORT where it has one.
absl::Status TakeAuthority(absl::string_view url, absl::string_view authority, OtlpEndpoint& out) {
  const size_t bracket = authority.find(']');
  const size_t colon = authority.find(':', bracket == absl::string_view::npos ? 0 : bracket);
  absl::string_view host = authority.substr(0, colon);
  if (absl::ConsumePrefix(&host, "[") && !absl::ConsumeSuffix(&host, "]")) return Malformed(url);
  if (host.empty() || !IsVisible(authority) || absl::StrContains(host, '@')) return Malformed(url);
  out.host = std::string(host);
  if (colon == absl::string_view::npos) return absl::OkStatus();
  int port = 0;
  if (!absl::SimpleAtoi(authority.substr(colon + 1), &port) || port < 1 || port > 65535) {
    return Malformed(url);
  }
  out.port = absl::StrCat(port);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<OtlpEndpoint> ParseOtlpEndpoint(absl::string_view url, bool is_base) {
  OtlpEndpoint out;
  absl::string_view rest = url;
  out.tls = absl::ConsumePrefix(&rest, "https://");
  if (!out.tls && !absl::ConsumePrefix(&rest, "http://")) return Malformed(url);
  out.port = out.tls ? "443" : is_base ? "4318" : "80";
  const size_t slash = std::min(rest.find('/'), rest.size());
  if (const absl::Status status = TakeAuthority(url, rest.substr(0, slash), out); !status.ok()) {
    return status;
  }
  absl::string_view path = rest.substr(slash);
  if (!IsVisible(path) || absl::StrContains(path, ' ')) return Malformed(url);
  if (is_base) {
    while (absl::ConsumeSuffix(&path, "/")) {
    }
    out.path = absl::StrCat(path, kTracesPath);
  } else {
    out.path = path.empty() ? "/" : std::string(path);
  }
  return out;
}

absl::StatusOr<std::vector<std::pair<std::string, std::string>>> ParseOtlpHeaders(
    absl::string_view text) {
  std::vector<std::pair<std::string, std::string>> headers;
  for (const absl::string_view part : absl::StrSplit(text, ',', absl::SkipWhitespace())) {
    const std::pair<absl::string_view, absl::string_view> pair =
        absl::StrSplit(part, absl::MaxSplits('=', 1));
    const absl::string_view name = absl::StripAsciiWhitespace(pair.first);
    const std::string value = PercentDecoded(absl::StripAsciiWhitespace(pair.second));
    const bool plain = std::all_of(name.begin(), name.end(), [](char c) {
      return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '_';
    });
    if (!absl::StrContains(part, '=') || name.empty() || !plain || !IsVisible(value)) {
      return absl::InvalidArgumentError(absl::StrCat("expected NAME=VALUE, by commas, got '",
                                                     Shorten(name, 40), "' and a value"));
    }
    headers.emplace_back(name, value);
  }
  return headers;
}

OtlpExporter::OtlpExporter(OtlpOptions options)
    : options_(std::move(options)), thread_([this] { Loop(); }) {}

OtlpExporter::~OtlpExporter() {
  {
    absl::MutexLock lock(&mutex_);
    closing_ = true;
  }
  news_.NotifyAll();
  thread_.join();
}

void OtlpExporter::Add(std::vector<Span> spans) {
  {
    absl::MutexLock lock(&mutex_);
    if (queue_.size() + spans.size() > options_.max_queued) {
      dropped_ += spans.size();
      return;
    }
    queue_.insert(queue_.end(), std::make_move_iterator(spans.begin()),
                  std::make_move_iterator(spans.end()));
  }
  news_.NotifyAll();
}

// What has come, at most kMaxBatch; empty once there is nothing more and it is to end.
std::vector<Span> OtlpExporter::TakeBatch(bool& closing) {
  absl::MutexLock lock(&mutex_);
  const auto any = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return closing_ || !queue_.empty();
  };
  const auto enough = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return closing_ || queue_.size() >= options_.max_queued / 2;
  };
  news_.AwaitUntil(mutex_, SteadyTime::InfiniteFuture(), any);
  news_.AwaitUntil(mutex_, SteadyTime::Now() + options_.interval, enough);
  closing = closing_;
  const auto count = static_cast<std::ptrdiff_t>(std::min(queue_.size(), kMaxBatch));
  std::vector<Span> batch(std::make_move_iterator(queue_.begin()),
                          std::make_move_iterator(queue_.begin() + count));
  queue_.erase(queue_.begin(), queue_.begin() + count);
  return batch;
}

void OtlpExporter::Loop() {
  SteadyTime stop = SteadyTime::InfiniteFuture();
  SteadyTime next_line = SteadyTime::InfinitePast();
  while (true) {
    bool closing = false;
    const std::vector<Span> batch = TakeBatch(closing);
    if (batch.empty() && closing) return;
    if (closing) stop = std::min(stop, SteadyTime::Now() + options_.timeout);
    absl::Status sent = absl::DeadlineExceededError("the server stops");
    if (SteadyTime::Now() < stop)
      sent = PostOtlp(options_, DumpJson(OtlpBody(batch, options_.resource)));
    if (sent.ok()) continue;
    dropped_ += batch.size();
    if (SteadyTime::Now() < next_line) continue;
    next_line = SteadyTime::Now() + kLogInterval;
    spdlog::warn("traces: {} spans were not taken: {}", batch.size(), std::string(sent.message()));
  }
}

}  // namespace sdar
