// SPDX-License-Identifier: Apache-2.0
#include "runtime/server/server_certificates.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "common/json.h"
#include "common/log.h"
#include "common/status_macros.h"

namespace sdar {
namespace {

constexpr size_t kMaxCertificateBytes = size_t{4} << 20;

template <typename T, void (*Free)(T*)>
struct Freer {
  void operator()(T* object) const { Free(object); }
};
using Certificate = std::unique_ptr<X509, Freer<X509, X509_free>>;
using PrivateKey = std::unique_ptr<EVP_PKEY, Freer<EVP_PKEY, EVP_PKEY_free>>;
using MemoryBio = std::unique_ptr<BIO, Freer<BIO, BIO_free_all>>;

MemoryBio Open(const std::string& text) {
  return MemoryBio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

// Nobody is there to be asked for a pass phrase.
int NoPassPhrase(char*, int, int, void*) { return 0; }

// What OpenSSL says about the file of a flag.
absl::Status Refusal(absl::string_view flag, const std::string& path, const char* otherwise) {
  const char* reason = ERR_reason_error_string(ERR_peek_last_error());
  ERR_clear_error();
  return absl::InvalidArgumentError(
      absl::StrCat(flag, ": ", path, ": ", reason == nullptr ? otherwise : reason));
}

// Checks that a text is certificates to its end, one at least, and returns the first.
absl::StatusOr<Certificate> ReadCertificates(absl::string_view flag, const std::string& path,
                                             const std::string& text) {
  const MemoryBio bio = Open(text);
  Certificate first(PEM_read_bio_X509(bio.get(), nullptr, NoPassPhrase, nullptr));
  if (first == nullptr) return Refusal(flag, path, "holds no certificate");
  while (Certificate(PEM_read_bio_X509(bio.get(), nullptr, NoPassPhrase, nullptr)) != nullptr) {
  }
  const bool at_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  if (!at_end) return Refusal(flag, path, "is cut off");
  ERR_clear_error();
  return first;
}

absl::Status CheckPair(const TlsFiles& files, const CertificateTexts& texts) {
  SDAR_ASSIGN_OR_RETURN(const Certificate certificate,
                        ReadCertificates("--tls-cert", files.certificate, texts.chain));
  const PrivateKey key(
      PEM_read_bio_PrivateKey(Open(texts.key).get(), nullptr, NoPassPhrase, nullptr));
  if (key == nullptr) return Refusal("--tls-key", files.key, "holds no key");
  if (X509_check_private_key(certificate.get(), key.get()) != 1) {
    ERR_clear_error();
    return absl::InvalidArgumentError(absl::StrCat(
        "--tls-key: ", files.key, ": is not the key of the certificate in ", files.certificate));
  }
  if (files.client_ca.empty()) return absl::OkStatus();
  return ReadCertificates("--tls-client-ca", files.client_ca, texts.client_ca).status();
}

absl::Status ReadText(absl::string_view flag, const std::string& path, std::string& out) {
  if (path.empty()) return absl::OkStatus();
  absl::StatusOr<std::string> text = ReadFile(path, kMaxCertificateBytes);
  if (!text.ok()) {
    return absl::NotFoundError(absl::StrCat(flag, ": cannot read ", text.status().message()));
  }
  out = *std::move(text);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::shared_ptr<ServerCertificates>> ServerCertificates::Load(
    const TlsFiles& files, absl::Duration look_interval) {
  auto certificates =
      std::shared_ptr<ServerCertificates>(new ServerCertificates(files, look_interval));
  absl::MutexLock lock(&certificates->mutex_);
  SDAR_RETURN_IF_ERROR(certificates->Read());
  return certificates;
}

ServerCertificates::Stamps ServerCertificates::Look() const {
  return {FileStamp::Of(files_.certificate), FileStamp::Of(files_.key),
          FileStamp::Of(files_.client_ca)};
}

absl::Status ServerCertificates::Read() {
  stamps_ = Look();  // before the files: what is written meanwhile is seen next time
  auto texts = std::make_shared<CertificateTexts>();
  SDAR_RETURN_IF_ERROR(ReadText("--tls-cert", files_.certificate, texts->chain));
  SDAR_RETURN_IF_ERROR(ReadText("--tls-key", files_.key, texts->key));
  SDAR_RETURN_IF_ERROR(ReadText("--tls-client-ca", files_.client_ca, texts->client_ca));
  SDAR_RETURN_IF_ERROR(CheckPair(files_, *texts));
  texts->version = texts_ == nullptr ? 1 : texts_->version + 1;
  texts_ = std::move(texts);
  return absl::OkStatus();
}

std::shared_ptr<const CertificateTexts> ServerCertificates::Current() {
  absl::MutexLock lock(&mutex_);
  if (!look_.IsDue() || Look() == stamps_) return texts_;
  const absl::Status status = Read();
  if (status.ok()) spdlog::info("certificates read again from {}", files_.certificate);
  if (!status.ok()) {
    spdlog::error("certificates stay as they were: {}", std::string(status.message()));
  }
  return texts_;
}

}  // namespace sdar
