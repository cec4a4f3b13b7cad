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

template <int kBits, std::size_t kVector, std::size_t kIndex>
LAMELLA_INLINE __m256i load_piece(const std::uint8_t* tile) {
  constexpr Piece kPiece = spread_piece(kBits, kVector, kIndex);
  if constexpr (kPiece.mask == 0) return _mm256_setzero_si256();
  const __m256i vector = load(tile + kPiece.vector * kVectorBytes);
  return _mm256_and_si256(_mm256_srli_epi16(vector, kPiece.shift),
                          _mm256_set1_epi8(static_cast<char>(kPiece.mask)));
}

template <int kBits, std::size_t kVector>
LAMELLA_INLINE __m256i load_vector(const std::uint8_t* tile) {
  if constexpr (is_spread(kBits, kVector)) {
    return _mm256_or_si256(
        _mm256_or_si256(load_piece<kBits, kVector, 0>(tile), load_piece<kBits, kVector, 1>(tile)),
        load_piece<kBits, kVector, 2>(tile));
  } else {
    return load(tile + kVector * kVectorBytes);
  }
}

// The codes of one step, a byte each.
template <int kBits, std::size_t kStep>
LAMELLA_INLINE __m256i step_codes(const std::uint8_t* tile) {
  constexpr StepPlace kPlace = step_place(kBits, kStep);
  const __m256i vector = load_vector<kBits, kPlace.vector>(tile);
  // Spread vectors of one step have no other bits.
  if constexpr (kBits == 8 || (kBits > 4 && is_spread(kBits, kPlace.vector))) return vector;
  return _mm256_and_si256(_mm256_srli_epi16(vector, kPlace.shift),
                          _mm256_set1_epi8(static_cast<char>((1 << kBits) - 1)));
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

// AVX2 has no exact product of bytes: vpmaddubsw saturates at 16 bits. Codes of up to 4 bits fit a
// whole block into 16 bits, 16 * 15 * 127 = 30480; wider ones fit less, and codes of 8 bits are
// taken as two of 4.

// Products of steps kFirst + kStep in 16 bits, two for each row.
template <std::size_t kFirst, std::size_t... kStep>
LAMELLA_INLINE __m256i dot_steps(const __m256i* codes, const std::int8_t* input,
                                 std::index_sequence<kStep...>) {
  __m256i sum = _mm256_setzero_si256();
  ((sum = _mm256_add_epi16(
        sum, _mm256_maddubs_epi16(codes[kFirst + kStep],
                                  _mm256_set1_epi32(step_input(input, kFirst + kStep))))),
   ...);
  return sum;
}

// Codes below 2^kBits in the steps from kFirst to kEnd; the result is the dot product times
// `factor`, one for each row.
template <int kBits, std::size_t kFirst, std::size_t kEnd>
LAMELLA_INLINE __m256i dot_codes(const __m256i* codes, const std::int8_t* input, __m256i factor) {
  constexpr std::size_t kMost = kBits <= 4 ? 8 : kBits == 5 ? 4 : 2;
  constexpr std::size_t kRun = std::min(kMost, kEnd - kFirst);
  static_assert(2 * kRun * ((1 << kBits) - 1) * 127 <= 32767, "the products must fit 16 bits");
  const __m256i narrow = dot_steps<kFirst>(codes, input, std::make_index_sequence<kRun>());
  const __m256i dot = _mm256_madd_epi16(narrow, factor);
  if constexpr (kFirst + kRun == kEnd) {
    return dot;
  } else {
    return _mm256_add_epi32(dot, dot_codes<kBits, kFirst + kRun, kEnd>(codes, input, factor));
  }
}

template <std::size_t kFirst, std::size_t kEnd, std::size_t... kStep>
LAMELLA_INLINE __m256i dot_bytes(const __m256i* codes, const std::int8_t* input,
                                 std::index_sequence<kStep...>) {
  const __m256i mask = _mm256_set1_epi8(15);
  const __m256i low[] = {_mm256_and_si256(codes[kStep], mask)...};
  const __m256i high[] = {_mm256_and_si256(_mm256_srli_epi16(codes[kStep], 4), mask)...};
  return _mm256_add_epi32(dot_codes<4, kFirst, kEnd>(low, input, _mm256_set1_epi16(1)),
                          dot_codes<4, kFirst, kEnd>(high, input, _mm256_set1_epi16(16)));
}

// The dot product of each row with the input of one of kParts equal parts of a block.
template <int kBits, std::size_t kParts, std::size_t kPart>
LAMELLA_INLINE __m256i dot(const __m256i* codes, const std::int8_t* input) {
  constexpr std::size_t kCount = kSteps / kParts, kFirst = kPart * kCount;
  if constexpr (kBits == 8) {
    const auto steps = std::make_index_sequence<kSteps>();
    return dot_bytes<kFirst, kFirst + kCount>(codes, input, steps);
  } else {
    return dot_codes<kBits, kFirst, kFirst + kCount>(codes, input, _mm256_set1_epi16(1));
  }
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
    ((codes[kStep] = step_codes<kBits, kStep>(tile)), ...);
  }

  // Adds the part of a block whose dot products are `dot`.
  template <std::size_t kPart>
  LAMELLA_INLINE __m256 add(__m256i dot, const TokenBlock& token, __m256 sums) const {
    // The upper half of each 32-bit zero point is 0, so that this multiplies only the lower one.
    const std::int32_t part = sum_of_part<kParts, kPart>(token);
    const __m256i sum = _mm256_set1_epi32(part);
    const __m256i exact = _mm256_sub_epi32(dot, _mm256_madd_epi16(zero[kPart], sum));
    const __m256 step = _mm256_mul_ps(scale[kPart], _mm256_set1_ps(token.scale));
    return _mm256_fmadd_ps(step, _mm256_cvtepi32_ps(exact), sums);
  }

  __m256i codes[kSteps];
  __m256 scale[kParts];
  __m256i zero[kParts];
};

// Adds a block whose dot products AVX2 computes.
template <int kBits, std::size_t kParts>
LAMELLA_INLINE __m256 add_dots(const Tile<kBits, kParts>& tile, const TokenBlock& token,
                               __m256 sums) {
  sums = tile.template add<0>(dot<kBits, kParts, 0>(tile.codes, token.codes), token, sums);
  if constexpr (kParts == 2) {
    sums = tile.template add<1>(dot<kBits, kParts, 1>(tile.codes, token.codes), token, sums);
  }
  return sums;
}

}  // namespace lamella::ymm

LAMELLA_TARGET_END

#endif  // LAMELLA_X86
