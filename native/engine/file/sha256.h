// SHA-256 of bytes. Every row of the table gives the same digest; the first that runs is used.
//
// Source: FIPS 180-4, sections 5 and 6.2.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/span.h"

namespace lamella::file {

using Digest = std::array<std::uint8_t, 32>;

struct Sha256Kernel {
  const char* name;
  bool (*runs)();
  // Mixes `count` blocks of 64 bytes into the eight words of the state.
  void (*mix)(std::uint32_t* state, const std::uint8_t* blocks, std::size_t count);
};

// Fastest first; the last runs everywhere. LAMELLA_ISA does not concern it: no digest depends on
// the row.
Span<Sha256Kernel> sha256_kernels();

const Sha256Kernel& sha256_kernel();

class Sha256 {
 public:
  explicit Sha256(const Sha256Kernel& kernel = sha256_kernel()) : kernel_(kernel) {}

  void add(Span<std::uint8_t> bytes);

  // Ends the message: add() must not follow.
  Digest digest();

 private:
  static constexpr std::size_t kBlock = 64;

  const Sha256Kernel& kernel_;
  std::array<std::uint32_t, 8> state_ = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                         0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  std::array<std::uint8_t, kBlock> rest_ = {};  // the first `size_ % kBlock` bytes wait for more
  std::uint64_t size_ = 0;
};

Digest sha256(Span<std::uint8_t> bytes);

}  // namespace lamella::file
