// A tile in 128-bit registers, for NEON with and without dot products.
//
// Codes of 8 bits do not fit a signed byte. They and their zero points are taken 128 lower, which
// changes neither code - zero nor the result.
#pragma once

#include "base/isa.h"

#if LAMELLA_ARM

#include <arm_neon.h>

#include <utility>

#include "kernels/linear_a8/strips.h"

namespace lamella::neon {

// What belongs to rows 0 to 3 and to rows 4 to 7 of a strip.
template <typename Register>
struct Halves {
  Register low;
  Register high;
};

// The codes of one step for the four rows at `tile`.
template <int kBits, std::size_t kStep>
LAMELLA_INLINE int8x16_t step_codes(const std::uint8_t* tile) {
  constexpr int kLow = low_width(kBits);
  constexpr StepPlace kPlace = step_place(kStep, kLow);
  const uint8x16_t vector = vld1q_u8(tile + kPlace.byte);
  if constexpr (kBits == 8) {
    return vreinterpretq_s8_u8(veorq_u8(vector, vdupq_n_u8(128)));
  } else {
    // A negative count shifts to the right.
    const uint8x16_t low =
        vandq_u8(vshlq_u8(vector, vdupq_n_s8(-kPlace.shift)), vdupq_n_u8((1 << kLow) - 1));
    if constexpr (kLow == kBits) return vreinterpretq_s8_u8(low);
    constexpr int kHigh = kBits - kLow;
    constexpr StepPlace kNext = step_place(kStep, kHigh);
    const uint8x16_t next = vld1q_u8(tile + tile_bytes(kLow) + kNext.byte);
    const uint8x16_t high = vandq_u8(vshlq_u8(next, vdupq_n_s8(kLow - kNext.shift)),
                                     vdupq_n_u8(((1 << kHigh) - 1) << kLow));
    return vreinterpretq_s8_u8(vorrq_u8(low, high));
  }
}

LAMELLA_INLINE Halves<float32x4_t> load_scale(const LinearWeight& weight, std::size_t grid) {
  if (weight.row_scale != nullptr) {
    return {vld1q_f32(weight.row_scale + grid), vld1q_f32(weight.row_scale + grid + 4)};
  }
  const float16x8_t half = vreinterpretq_f16_u16(vld1q_u16(weight.half_scale + grid));
  return {vcvt_f32_f16(vget_low_f16(half)), vcvt_high_f32_f16(half)};
}

template <int kBits>
LAMELLA_INLINE int16x8_t load_zero(const LinearWeight& weight, std::size_t grid) {
  constexpr int kLowered = kBits == 8 ? 128 : 0;
  if (weight.zero == nullptr) return vdupq_n_s16((1 << (kBits - 1)) - kLowered);
  const int16x8_t zero = vreinterpretq_s16_u16(vmovl_u8(vld1_u8(weight.zero + grid)));
  return vsubq_s16(zero, vdupq_n_s16(kLowered));
}

// The float of each row.
struct Sums {
  float32x4_t low = vdupq_n_f32(0);
  float32x4_t high = vdupq_n_f32(0);
};

LAMELLA_INLINE void store(const Sums& sums, float* rows) {
  vst1q_f32(rows, sums.low);
  vst1q_f32(rows + 4, sums.high);
}

template <int kBits, std::size_t kParts>
struct Tile {
  LAMELLA_INLINE Tile(const LinearWeight& weight, std::size_t strip, std::size_t block) {
    const std::size_t grid = weight.grid(strip, block);
    for (std::size_t part = 0; part < kParts; ++part) {
      scale[part] = load_scale(weight, grid + part * kStripRows);
      zero[part] = load_zero<kBits>(weight, grid + part * kStripRows);
    }
    unpack(weight.tile(strip, block), std::make_index_sequence<kSteps>());
  }

  template <std::size_t... kStep>
  LAMELLA_INLINE void unpack(const std::uint8_t* tile, std::index_sequence<kStep...>) {
    ((codes.low[kStep] = step_codes<kBits, kStep>(tile)), ...);
    ((codes.high[kStep] = step_codes<kBits, kStep>(tile + kVectorBytes / 2)), ...);
  }

  // What the dot products of a part of a block start at: -zero * sum.
  template <std::size_t kPart>
  LAMELLA_INLINE Halves<int32x4_t> offset(const TokenBlock& token) const {
    const auto less = static_cast<std::int16_t>(-sum_of_part<kParts, kPart>(token));
    return {vmull_n_s16(vget_low_s16(zero[kPart]), less), vmull_high_n_s16(zero[kPart], less)};
  }

  // Adds a part of a block whose exact sums are `dot`.
  template <std::size_t kPart>
  LAMELLA_INLINE Sums add(const Halves<int32x4_t>& dot, const TokenBlock& token, Sums sums) const {
    const float32x4_t low = vmulq_n_f32(scale[kPart].low, token.scale);
    const float32x4_t high = vmulq_n_f32(scale[kPart].high, token.scale);
    return {vfmaq_f32(sums.low, low, vcvtq_f32_s32(dot.low)),
            vfmaq_f32(sums.high, high, vcvtq_f32_s32(dot.high))};
  }

  Halves<int8x16_t[kSteps]> codes;
  Halves<float32x4_t> scale[kParts];
  int16x8_t zero[kParts];
};

}  // namespace lamella::neon

#endif  // LAMELLA_ARM
