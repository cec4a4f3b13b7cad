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

template <int kBits, std::size_t kVector, std::size_t kIndex>
LAMELLA_INLINE uint8x16_t load_piece(const std::uint8_t* tile) {
  constexpr Piece kPiece = spread_piece(kBits, kVector, kIndex);
  if constexpr (kPiece.mask == 0) return vdupq_n_u8(0);
  const uint8x16_t vector = vld1q_u8(tile + kPiece.vector * kVectorBytes);
  // A negative count shifts to the right.
  return vandq_u8(vshlq_u8(vector, vdupq_n_s8(-kPiece.shift)), vdupq_n_u8(kPiece.mask));
}

template <int kBits, std::size_t kVector>
LAMELLA_INLINE uint8x16_t load_vector(const std::uint8_t* tile) {
  if constexpr (is_spread(kBits, kVector)) {
    return vorrq_u8(
        vorrq_u8(load_piece<kBits, kVector, 0>(tile), load_piece<kBits, kVector, 1>(tile)),
        load_piece<kBits, kVector, 2>(tile));
  } else {
    return vld1q_u8(tile + kVector * kVectorBytes);
  }
}

// The codes of one step for the four rows at `tile`.
template <int kBits, std::size_t kStep>
LAMELLA_INLINE int8x16_t step_codes(const std::uint8_t* tile) {
  constexpr StepPlace kPlace = step_place(kBits, kStep);
  const uint8x16_t vector = load_vector<kBits, kPlace.vector>(tile);
  if constexpr (kBits == 8) {
    return vreinterpretq_s8_u8(veorq_u8(vector, vdupq_n_u8(128)));
  } else if constexpr (kBits > 4 && is_spread(kBits, kPlace.vector)) {
    return vreinterpretq_s8_u8(vector);  // of one step, without other bits
  } else {
    const uint8x16_t codes = vshlq_u8(vector, vdupq_n_s8(-kPlace.shift));
    return vreinterpretq_s8_u8(vandq_u8(codes, vdupq_n_u8((1 << kBits) - 1)));
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
  LAMELLA_INLINE Tile(const LinearWeight& weight, std::size_t strip, std::size_t block)
      : Tile(weight, weight.grid(strip, block)) {
    unpack(weight.tile(strip, block), std::make_index_sequence<kSteps>());
  }

  // Leaves the codes to the caller.
  LAMELLA_INLINE Tile(const LinearWeight& weight, std::size_t grid) {
    for (std::size_t part = 0; part < kParts; ++part) {
      scale[part] = load_scale(weight, grid + part * kStripRows);
      zero[part] = load_zero<kBits>(weight, grid + part * kStripRows);
    }
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

// The input of one step, for two rows.
LAMELLA_INLINE int8x8_t twice(const std::int8_t* input, std::size_t step) {
  return vreinterpret_s8_s32(vdup_n_s32(step_input(input, step)));
}

// Products of bytes are added in 16 bits, one for each row, column of a step and step, as many
// steps as fit exactly.
template <std::size_t... kStep>
LAMELLA_INLINE int32x4_t dot_run(const int8x16_t* codes, const std::int8_t* input,
                                 std::index_sequence<kStep...>) {
  int16x8_t first = vdupq_n_s16(0), second = vdupq_n_s16(0);
  ((first = vmlal_s8(first, vget_low_s8(codes[kStep]), twice(input, kStep)),
    second = vmlal_s8(second, vget_high_s8(codes[kStep]), twice(input, kStep))),
   ...);
  return vpaddq_s32(vpaddlq_s16(first), vpaddlq_s16(second));
}

// Adds the dot products of four rows to `sum`, over the steps of one of kParts equal parts, from
// kStep on.
template <int kBits, std::size_t kParts, std::size_t kStep>
LAMELLA_INLINE int32x4_t dot_four(const int8x16_t* codes, const std::int8_t* input, int32x4_t sum) {
  constexpr int kMost = kBits == 8 ? 128 : (1 << kBits) - 1;  // magnitude of a code
  constexpr std::size_t kMostSteps = kBits <= 5 ? 8 : kBits == 6 ? 4 : 2;
  constexpr std::size_t kRun = std::min(kMostSteps, kSteps / kParts);
  static_assert(kRun * kMost * 127 <= 32767, "the products must fit 16 bits");
  const auto steps = std::make_index_sequence<kRun>();
  const int32x4_t more = vaddq_s32(sum, dot_run(codes + kStep, input + 4 * kStep, steps));
  constexpr std::size_t kNext = kStep + kRun;
  if constexpr (kNext % (kSteps / kParts) == 0) {
    return more;
  } else {
    return dot_four<kBits, kParts, kNext>(codes, input, more);
  }
}

template <std::size_t kPart, int kBits, std::size_t kParts>
LAMELLA_INLINE Sums add_part(const Tile<kBits, kParts>& tile, const TokenBlock& token,
                             const Sums& sums) {
  constexpr std::size_t kFirst = kPart * kSteps / kParts;
  const Halves<int32x4_t> offset = tile.template offset<kPart>(token);
  const Halves<int32x4_t> dot{
      dot_four<kBits, kParts, kFirst>(tile.codes.low, token.codes, offset.low),
      dot_four<kBits, kParts, kFirst>(tile.codes.high, token.codes, offset.high)};
  return tile.template add<kPart>(dot, token, sums);
}

// Adds a block whose dot products are computed without instructions for them.
template <int kBits, std::size_t kParts>
LAMELLA_INLINE Sums add_dots(const Tile<kBits, kParts>& tile, const TokenBlock& token,
                             const Sums& sums) {
  const Sums first = add_part<0>(tile, token, sums);
  if constexpr (kParts == 1) {
    return first;
  } else {
    return add_part<1>(tile, token, first);
  }
}

}  // namespace lamella::neon

#endif  // LAMELLA_ARM
