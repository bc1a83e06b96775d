// SPDX-License-Identifier: Apache-2.0
#include "runtime/server/traces/otlp_post.h"

#include <exception>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include <openssl/ssl.h>

#include "boost/asio/connect.hpp"
#include "boost/asio/io_context.hpp"
#include "boost/asio/ip/tcp.hpp"
#include "boost/asio/ssl/context.hpp"
#include "boost/asio/ssl/host_name_verification.hpp"
#include "boost/beast/core/flat_buffer.hpp"
#include "boost/beast/core/tcp_stream.hpp"
#include "boost/beast/http/parser.hpp"
#include "boost/beast/http/read.hpp"
#include "boost/beast/http/string_body.hpp"
#include "boost/beast/http/write.hpp"
#include "boost/beast/ssl/ssl_stream.hpp"

namespace sdar {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using Request = http::request<http::string_body>;
using Parser = http::response_parser<http::string_body>;

constexpr uint64_t kMaxAnswerBytes = uint64_t{64} << 10;

Request MakeRequest(const OtlpOptions& options, const std::string& body) {
  const OtlpEndpoint& endpoint = options.endpoint;
  Request request(http::verb::post, endpoint.path, 11);
  const bool ipv6 = endpoint.host.find(':') != std::string::npos;
  const std::string host = ipv6 ? absl::StrCat("[", endpoint.host, "]") : endpoint.host;
  request.set(http::field::host, absl::StrCat(host, ":", endpoint.port));
  request.set(http::field::content_type, "application/json");
  request.set(http::field::connection, "close");
  for (const auto& [name, value] : options.headers) request.set(name, value);
  request.body() = body;
  request.prepare_payload();
  return request;
}

// Runs what was begun until it is done or the stream's time is up.
class Exchange {
 public:
  Exchange(const OtlpOptions& options, const std::string& body)
      : options_(options), request_(MakeRequest(options, body)), stream_(io_) {
    parser_.body_limit(kMaxAnswerBytes);
  }

  // Throws what Asio throws.
  absl::Status Post() {
    asio::ip::tcp::resolver resolver(io_);
    const auto addresses = resolver.resolve(options_.endpoint.host, options_.endpoint.port, error_);
    if (error_) return Failed("resolve");
    stream_.expires_after(absl::ToChronoNanoseconds(options_.timeout));
    stream_.async_connect(addresses, [this](const beast::error_code& error, const auto&) {
      error_ = error;
      step_ = "connect";
      if (error) return;
      if (options_.endpoint.tls) return Secure();
      Write(stream_);
    });
    io_.run();
    if (error_) return Failed(step_);
    const unsigned code = parser_.get().result_int();
    if (code / 100 == 2) return absl::OkStatus();
    return absl::UnavailableError(absl::StrCat("the collector answered ", code));
  }

 private:
  void Secure() {
    context_.emplace(asio::ssl::context::tls_client);
    context_->set_default_verify_paths(error_);
    context_->set_verify_mode(asio::ssl::verify_peer);
    secure_.emplace(std::move(stream_), *context_);
    secure_->set_verify_callback(asio::ssl::host_name_verification(options_.endpoint.host));
    SSL_set_tlsext_host_name(secure_->native_handle(), options_.endpoint.host.c_str());
    step_ = "handshake";
    secure_->async_handshake(asio::ssl::stream_base::client,
                             [this](const beast::error_code& error) {
                               error_ = error;
                               if (!error) Write(*secure_);
                             });
  }

  template <typename Stream>
  void Write(Stream& stream) {
    step_ = "write";
    http::async_write(stream, request_, [this, &stream](const beast::error_code& error, size_t) {
      error_ = error;
      if (error) return;
      step_ = "read";
      http::async_read(stream, buffer_, parser_,
                       [this](const beast::error_code& read, size_t) { error_ = read; });
    });
  }

  absl::Status Failed(const char* step) const {
    return absl::UnavailableError(absl::StrCat(step, ": ", error_.message()));
  }

  const OtlpOptions& options_;
  Request request_;
  Parser parser_;
  asio::io_context io_;
  beast::tcp_stream stream_;
  std::optional<asio::ssl::context> context_;
  std::optional<beast::ssl_stream<beast::tcp_stream>> secure_;  // once there is TLS
  beast::flat_buffer buffer_;
  beast::error_code error_;
  const char* step_ = "connect";
};

}  // namespace

absl::Status PostOtlp(const OtlpOptions& options, const std::string& body) {
  try {
    return Exchange(options, body).Post();
  } catch (const std::exception& thrown) {
    return absl::UnavailableError(thrown.what());
  }
}

}  // namespace sdar
