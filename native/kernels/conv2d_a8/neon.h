// The weights of a step in 128-bit registers, for NEON with and without dot products. There is no
// product of signed and unsigned bytes, so that input codes are taken 128 lower.
#pragma once

#include "base/isa.h"

#if LAMELLA_ARM

#include <arm_neon.h>

#include "kernels/conv2d_a8/tiles.h"
#include "kernels/linear_a8/neon.h"

namespace lamella::neon {

template <int kBits, std::size_t kStep>
LAMELLA_INLINE int8x16_t signed_codes(const std::uint8_t* tile) {
  const int8x16_t codes = step_codes<kBits, kStep>(tile);
  if constexpr (kBits == 8) {
    return codes;  // signed already
  } else {
    return vsubq_s8(codes, vdupq_n_s8(1 << (kBits - 1)));
  }
}

template <int kBits, std::size_t kStep>
LAMELLA_INLINE Halves<int8x16_t> step_weights(Tiles tiles) {
  return {signed_codes<kBits, kStep>(tiles.first),
          signed_codes<kBits, kStep>(tiles.first + kVectorBytes / 2)};
}

LAMELLA_INLINE void store_weights(const Halves<int8x16_t>& weights, std::uint8_t* to) {
  auto* both = reinterpret_cast<std::int8_t*>(to);
  vst1q_s8(both, weights.low);
  vst1q_s8(both + 16, weights.high);
}

LAMELLA_INLINE Halves<int8x16_t> load_weights(const std::uint8_t* from) {
  const auto* weights = reinterpret_cast<const std::int8_t*>(from);
  return {vld1q_s8(weights), vld1q_s8(weights + 16)};
}

// Four input codes, each 128 lower.
LAMELLA_INLINE std::int32_t lowered(std::int32_t four) {
  return static_cast<std::int32_t>(static_cast<std::uint32_t>(four) ^ 0x80808080u);
}

}  // namespace lamella::neon

#endif  // LAMELLA_ARM
