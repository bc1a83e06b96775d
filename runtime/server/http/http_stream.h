// SPDX-License-Identifier: Apache-2.0
// The bytes of an HTTP connection, with TLS or without.
#pragma once

#include <memory>
#include <optional>
#include <utility>

#include "boost/asio/ip/tcp.hpp"
#include "boost/asio/post.hpp"
#include "boost/asio/ssl/context.hpp"
#include "boost/asio/ssl/stream.hpp"

namespace sdar {

// An AsyncStream of Asio.
class HttpStream {
 public:
  using Socket = boost::asio::ip::tcp::socket;
  // NOLINTNEXTLINE(readability-identifier-naming): the name that Asio asks a stream for
  using executor_type = Socket::executor_type;

  // context: null without TLS.
  HttpStream(Socket socket, std::shared_ptr<boost::asio::ssl::context> context)
      : context_(std::move(context)) {
    if (context_ == nullptr) {
      plain_.emplace(std::move(socket));
    } else {
      tls_.emplace(std::move(socket), *context_);
    }
  }

  Socket& tcp() { return tls_.has_value() ? tls_->next_layer() : *plain_; }
  executor_type get_executor() { return tcp().get_executor(); }
  bool is_encrypted() const { return tls_.has_value(); }

  // Whether the client has shown a certificate, which the handshake has then verified.
  bool has_client_certificate() {
    if (!tls_.has_value()) return false;
    X509* certificate = SSL_get_peer_certificate(tls_->native_handle());
    X509_free(certificate);
    return certificate != nullptr;
  }

  // Whether it was asked for one.
  bool asks_for_certificate() {
    return tls_.has_value() && SSL_get_verify_mode(tls_->native_handle()) != SSL_VERIFY_NONE;
  }

  // Calls handler(error); as if posted, without TLS.
  template <typename Handler>
  void async_handshake(Handler&& handler) {
    if (tls_.has_value()) {
      tls_->async_handshake(boost::asio::ssl::stream_base::server, std::forward<Handler>(handler));
    } else {
      boost::asio::post(get_executor(), [handler = std::forward<Handler>(handler)]() mutable {
        handler(boost::system::error_code());
      });
    }
  }
  // Tells the client that nothing more comes, and waits until it has said the same. Requires: TLS.
  template <typename Handler>
  void async_shutdown(Handler&& handler) {
    tls_->async_shutdown(std::forward<Handler>(handler));
  }
  template <typename Buffers, typename Handler>
  void async_read_some(const Buffers& buffers, Handler&& handler) {
    if (tls_.has_value()) {
      tls_->async_read_some(buffers, std::forward<Handler>(handler));
    } else {
      plain_->async_read_some(buffers, std::forward<Handler>(handler));
    }
  }
  template <typename Buffers, typename Handler>
  void async_write_some(const Buffers& buffers, Handler&& handler) {
    if (tls_.has_value()) {
      tls_->async_write_some(buffers, std::forward<Handler>(handler));
    } else {
      plain_->async_write_some(buffers, std::forward<Handler>(handler));
    }
  }

 private:
  const std::shared_ptr<boost::asio::ssl::context> context_;
  std::optional<Socket> plain_;
  std::optional<boost::asio::ssl::stream<Socket>> tls_;  // either of the two
};

}  // namespace sdar
