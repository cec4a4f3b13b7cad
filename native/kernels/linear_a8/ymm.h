// A tile in 256-bit registers, for AVX2 and for AVX-VNNI.
#pragma once

#include "base/isa.h"

#if LAMELLA_X86

#include <immintrin.h>

#include <utility>

#include "kernels/linear_a8/strips.h"

LAMELLA_TARGET_BEGIN("avx2,fma,f16c")

namespace lamella::ymm {

LAMELLA_INLINE __m256i load(const std::uint8_t* bytes) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(bytes));
}

// The codes of one step, a byte each.
template <int kBits, std::size_t kStep>
LAMELLA_INLINE __m256i step_codes(const std::uint8_t* tile) {
  constexpr int kLow = low_width(kBits);
  constexpr StepPlace kPlace = step_place(kStep, kLow);
  const __m256i vector = load(tile + kPlace.byte);
  if constexpr (kBits == 8) return vector;
  const __m256i low =
      _mm256_and_si256(_mm256_srli_epi16(vector, kPlace.shift), _mm256_set1_epi8((1 << kLow) - 1));
  if constexpr (kLow == kBits) {
    return low;
  } else {
    constexpr int kHigh = kBits - kLow;
    constexpr StepPlace kNext = step_place(kStep, kHigh);
    __m256i high = load(tile + tile_bytes(kLow) + kNext.byte);
    // One shift moves the bits from their place in the byte to their place in the code.
    if constexpr (kNext.shift > kLow) {
      high = _mm256_srli_epi16(high, kNext.shift - kLow);
    } else {
      high = _mm256_slli_epi16(high, kLow - kNext.shift);
    }
    const __m256i mask = _mm256_set1_epi8(((1 << kHigh) - 1) << kLow);
    return _mm256_or_si256(low, _mm256_and_si256(high, mask));
  }
}

LAMELLA_INLINE __m256 load_scale(const LinearWeight& weight, std::size_t grid) {
  if (weight.row_scale != nullptr) return _mm256_loadu_ps(weight.row_scale + grid);
  const auto* half = reinterpret_cast<const __m128i*>(weight.half_scale + grid);
  return _mm256_cvtph_ps(_mm_loadu_si128(half));
}

template <int kBits>
LAMELLA_INLINE __m256i load_zero(const LinearWeight& weight, std::size_t grid) {
  if (weight.zero == nullptr) return _mm256_set1_epi32(1 << (kBits - 1));
  const auto* bytes = reinterpret_cast<const __m128i*>(weight.zero + grid);
  return _mm256_cvtepu8_epi32(_mm_loadl_epi64(bytes));
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
    ((codes[kStep] = step_codes<kBits, kStep>(tile)), ...);
  }

  // Adds the part of a block whose dot products are `dot`.
  template <std::size_t kPart>
  LAMELLA_INLINE __m256 add(__m256i dot, const TokenBlock& token, __m256 sums) const {
    // The upper half of each 32-bit zero point is 0, so that this multiplies only the lower one.
    const auto part = static_cast<short>(sum_of_part<kParts, kPart>(token));
    const __m256i sum = _mm256_set1_epi16(part);
    const __m256i exact = _mm256_sub_epi32(dot, _mm256_madd_epi16(zero[kPart], sum));
    const __m256 step = _mm256_mul_ps(scale[kPart], _mm256_set1_ps(token.scale));
    return _mm256_fmadd_ps(step, _mm256_cvtepi32_ps(exact), sums);
  }

  __m256i codes[kSteps];
  __m256 scale[kParts];
  __m256i zero[kParts];
};

}  // namespace lamella::ymm

LAMELLA_TARGET_END

#endif  // LAMELLA_X86
