// SPDX-License-Identifier: Apache-2.0
#include "runtime/server/http/tls_context.h"

#include <utility>

#include "absl/strings/str_cat.h"

#include "common/log.h"
#include "common/status_macros.h"
#include "common/steady_time.h"

namespace sdar {
namespace {

namespace ssl = boost::asio::ssl;
constexpr absl::Duration kFilesLookInterval = absl::Seconds(1);

}  // namespace

absl::StatusOr<std::unique_ptr<TlsContext>> TlsContext::Create(const TlsFiles& files) {
  auto context = std::unique_ptr<TlsContext>(new TlsContext(files));
  absl::MutexLock lock(&context->mutex_);
  SDAR_RETURN_IF_ERROR(context->Load());
  return context;
}

std::vector<std::filesystem::file_time_type> TlsContext::Written() const {
  std::vector<std::filesystem::file_time_type> times;
  for (const std::string& path : {files_.certificate, files_.key, files_.client_ca}) {
    std::error_code error;
    times.push_back(std::filesystem::last_write_time(path, error));
  }
  return times;
}

absl::Status TlsContext::Load() {
  auto written = Written();
  SDAR_RETURN_IF_ERROR(files_.Check());
  auto context = std::make_shared<Context>(Context::tls_server);
  boost::system::error_code error;
  context->set_options(Context::default_workarounds | Context::no_sslv2 | Context::no_sslv3 |
                           Context::no_tlsv1 | Context::no_tlsv1_1 | Context::no_compression,
                       error);
  if (!error) context->use_certificate_chain_file(files_.certificate, error);
  if (!error) context->use_private_key_file(files_.key, Context::pem, error);
  if (!error && !files_.client_ca.empty()) {
    // A client without any is let in to ask what probes ask, and nothing else (HttpGateway).
    context->set_verify_mode(ssl::verify_peer, error);
    if (!error) context->load_verify_file(files_.client_ca, error);
  }
  if (error) return absl::InvalidArgumentError(absl::StrCat("TLS: ", error.message()));
  context_ = std::move(context);
  written_ = std::move(written);
  return absl::OkStatus();
}

std::shared_ptr<TlsContext::Context> TlsContext::Current() {
  absl::MutexLock lock(&mutex_);
  const SteadyTime now = SteadyTime::Now();
  if (now < next_look_) return context_;
  next_look_ = now + kFilesLookInterval;
  if (Written() == written_) return context_;
  const absl::Status status = Load();
  if (status.ok()) spdlog::info("certificates read again from {}", files_.certificate);
  if (!status.ok()) {
    spdlog::error("certificates stay as they were: {}", std::string(status.message()));
  }
  return context_;
}

}  // namespace sdar
