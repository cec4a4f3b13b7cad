// What the cases of probe_vectors.cc are made of: inputs from integers, a hash of outputs.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <vector>

#include "allocations.h"
#include "base/isa.h"

namespace lamella::vectors {

using Floats = std::vector<float>;
using Bytes = std::vector<std::uint8_t>;
using Shape = std::vector<std::size_t>;

// SplitMix64 (Steele, Lea and Flood 2014).
class Draw {
 public:
  explicit Draw(std::uint64_t seed) : state_(seed) {}

  std::uint64_t number() {
    std::uint64_t mixed = state_ += 0x9e3779b97f4a7c15u;
    mixed = (mixed ^ mixed >> 30) * 0xbf58476d1ce4e5b9u;
    mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111ebu;
    return mixed ^ mixed >> 31;
  }

  // An integer of `bits` bits.
  std::uint32_t bits(int bits) { return static_cast<std::uint32_t>(number() >> (64 - bits)); }

  // Multiples of 2^-20 from -8 to 8, which are exact.
  Floats reals(std::size_t count) {
    Floats values(count);
    for (float& value : values) {
      value = static_cast<float>(static_cast<std::int32_t>(bits(24)) - (1 << 23)) * 0x1p-20f;
    }
    return values;
  }

  // Any patterns: denormals, infinities and NaN among them.
  Floats patterns(std::size_t count) {
    Floats values(count);
    for (float& value : values) {
      const std::uint32_t pattern = bits(32);
      std::memcpy(&value, &pattern, sizeof value);
    }
    return values;
  }

  Bytes codes(std::size_t count, int width) {
    Bytes values(count);
    for (std::uint8_t& value : values) value = static_cast<std::uint8_t>(bits(width));
    return values;
  }

  // Half floats from 2^-7 to 2, of both signs.
  std::vector<std::uint16_t> halves(std::size_t count) {
    std::vector<std::uint16_t> values(count);
    for (std::uint16_t& value : values) {
      const std::uint32_t pattern = bits(1) << 15 | (8 + bits(3)) << 10 | bits(10);
      value = static_cast<std::uint16_t>(pattern);
    }
    return values;
  }

 private:
  std::uint64_t state_;
};

// FNV-1a of 64 bits over everything that a case gives.
class Hash {
 public:
  template <typename Item>
  void add(const std::vector<Item>& items) {
    const auto* bytes = reinterpret_cast<const unsigned char*>(items.data());
    for (std::size_t i = 0; i < items.size() * sizeof(Item); ++i) {
      state_ = (state_ ^ bytes[i]) * 0x100000001b3u;
    }
  }

  std::uint64_t value() const { return state_; }

 private:
  std::uint64_t state_ = 0xcbf29ce484222325u;
};

// One case: its shape, its inputs, where its outputs go, and the instruction sets it may use.
struct Case {
  const Shape& shape;
  Draw& draw;
  Hash& hash;
  IsaSet allowed;
};

// Says which kernel run() calls, and stops where it allocates.
template <typename Kernel, typename Run>
void run_kernel(const Kernel& kernel, const Run& run) {
  std::fprintf(stderr, "%s\n", kernel.name);
  probe::watch_kernel(kernel.name, run);
}

}  // namespace lamella::vectors
