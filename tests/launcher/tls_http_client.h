// SPDX-License-Identifier: Apache-2.0
// A test's HTTP client over TLS, which asks for no proof of the server's name.
#pragma once

#include <csignal>
#include <memory>
#include <string>

#include <openssl/ssl.h>

#include "tests/server/http/http_client.h"

namespace sdar {

class TlsHttpClient : public HttpClient {
 public:
  explicit TlsHttpClient(const std::string& address)
      : HttpClient(address),
        context_(SSL_CTX_new(TLS_client_method()), &SSL_CTX_free),
        ssl_(SSL_new(context_.get()), &SSL_free) {
    std::signal(SIGPIPE, SIG_IGN);  // OpenSSL writes to connections that the server has closed
    SSL_set_fd(ssl_.get(), socket());
    EXPECT_EQ(SSL_connect(ssl_.get()), 1) << address;
  }

 protected:
  ssize_t SendSome(absl::string_view bytes) override {
    return SSL_write(ssl_.get(), bytes.data(), static_cast<int>(bytes.size()));
  }
  ssize_t ReceiveSome(char* bytes, size_t size) override {
    return SSL_read(ssl_.get(), bytes, static_cast<int>(size));
  }

 private:
  std::unique_ptr<SSL_CTX, void (*)(SSL_CTX*)> context_;
  std::unique_ptr<SSL, void (*)(SSL*)> ssl_;
};

}  // namespace sdar
