#include "engine/file/sha256.h"

#include <algorithm>
#include <cstring>

#include "base/isa.h"
#include "engine/file/sha256_isa.h"
#include "engine/file/sha256_rounds.h"

namespace lamella::file {
namespace {

constexpr std::uint32_t turned(std::uint32_t word, int bits) {
  return word >> bits | word << (32 - bits);
}

std::uint32_t big_endian(const std::uint8_t* bytes) {
  return std::uint32_t{bytes[0]} << 24 | std::uint32_t{bytes[1]} << 16 |
         std::uint32_t{bytes[2]} << 8 | bytes[3];
}

void mix_block(std::uint32_t* state, const std::uint8_t* block) {
  std::uint32_t w[64];
  for (int t = 0; t < 16; ++t) w[t] = big_endian(block + 4 * t);
  for (int t = 16; t < 64; ++t) {
    const std::uint32_t near = w[t - 2], far = w[t - 15];
    w[t] = w[t - 16] + (turned(far, 7) ^ turned(far, 18) ^ far >> 3) + w[t - 7] +
           (turned(near, 17) ^ turned(near, 19) ^ near >> 10);
  }
  std::uint32_t v[8];
  std::copy(state, state + 8, v);
  for (int t = 0; t < 64; ++t) {
    const std::uint32_t a = v[0], b = v[1], c = v[2], e = v[4], f = v[5], g = v[6];
    const std::uint32_t one = v[7] + (turned(e, 6) ^ turned(e, 11) ^ turned(e, 25)) +
                              ((e & f) ^ (~e & g)) + kSha256Rounds[t] + w[t];
    const std::uint32_t two =
        (turned(a, 2) ^ turned(a, 13) ^ turned(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
    std::copy_backward(v, v + 7, v + 8);
    v[4] += one;
    v[0] = one + two;
  }
  for (int i = 0; i < 8; ++i) state[i] += v[i];
}

void mix_portable(std::uint32_t* state, const std::uint8_t* blocks, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) mix_block(state, blocks + 64 * i);
}

constexpr Sha256Kernel kKernels[] = {
#if LAMELLA_X86
    {"sha256_shani", &sha256_shani_runs, &sha256_shani},
#elif LAMELLA_ARM
    {"sha256_armv8", &sha256_armv8_runs, &sha256_armv8},
#endif
    {"sha256_portable", [] { return true; }, &mix_portable},
};

const Sha256Kernel& first_that_runs() {
  const Sha256Kernel* row = kKernels;
  while (!row->runs()) ++row;
  return *row;
}

}  // namespace

Span<Sha256Kernel> sha256_kernels() { return kKernels; }

const Sha256Kernel& sha256_kernel() {
  // Asking a virtual processor leaves the virtual machine, which takes microseconds.
  static const Sha256Kernel& found = first_that_runs();
  return found;
}

void Sha256::add(Span<std::uint8_t> bytes) {
  const std::uint8_t* from = bytes.begin();
  std::size_t left = bytes.size();
  const std::size_t waiting = size_ % kBlock;
  size_ += left;
  if (waiting != 0) {
    const std::size_t taken = std::min(left, kBlock - waiting);
    std::copy_n(from, taken, rest_.begin() + waiting);
    if (waiting + taken < kBlock) return;
    kernel_.mix(state_.data(), rest_.data(), 1);
    from += taken;
    left -= taken;
  }
  kernel_.mix(state_.data(), from, left / kBlock);
  std::copy_n(from + left / kBlock * kBlock, left % kBlock, rest_.begin());
}

Digest Sha256::digest() {
  const std::uint64_t bits = size_ * 8;
  std::uint8_t end[2 * kBlock] = {0x80};
  // One bit, then zeros, so that the size in bits ends a block.
  const std::size_t zeros = (2 * kBlock - 9 - size_ % kBlock) % kBlock;
  for (int i = 0; i < 8; ++i) {
    end[1 + zeros + static_cast<std::size_t>(i)] = static_cast<std::uint8_t>(bits >> (56 - 8 * i));
  }
  add({end, 1 + zeros + 8});
  Digest digest;
  for (std::size_t i = 0; i < digest.size(); ++i) {
    digest[i] = static_cast<std::uint8_t>(state_[i / 4] >> (24 - 8 * (i % 4)));
  }
  return digest;
}

Digest sha256(Span<std::uint8_t> bytes) {
  Sha256 hash;
  hash.add(bytes);
  return hash.digest();
}

}  // namespace lamella::file
