// SHA-256 over parts. Internal.
#pragma once

#include <openssl/evp.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string_view>

#include "base/check.h"

namespace gs::webhook {

using Digest = std::array<uint8_t, 32>;

// A digest is as good a hash as any of its bytes.
struct DigestHash {
  size_t operator()(const Digest& digest) const {
    size_t hash;
    std::memcpy(&hash, digest.data(), sizeof hash);
    return hash;
  }
};

class Sha256 {
 public:
  Sha256() : context_(EVP_MD_CTX_new(), &EVP_MD_CTX_free) {
    static EVP_MD* const algorithm = EVP_MD_fetch(nullptr, "SHA256", nullptr);  // looking it up is dearer than a small digest
    GS_CHECK(EVP_DigestInit_ex2(context_.get(), algorithm, nullptr) == 1);
  }
  // With its length, so that no two sequences of parts are the same bytes.
  void part(std::string_view bytes) {
    const uint64_t size = bytes.size();
    update(std::string_view(reinterpret_cast<const char*>(&size), sizeof size));
    update(bytes);
  }
  void update(std::string_view bytes) { GS_CHECK(EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()) == 1); }
  Digest finish() {
    Digest digest;
    GS_CHECK(EVP_DigestFinal_ex(context_.get(), digest.data(), nullptr) == 1);
    return digest;
  }

 private:
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context_;
};

}  // namespace gs::webhook
