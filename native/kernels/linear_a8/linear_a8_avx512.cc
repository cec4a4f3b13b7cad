// linear_a8 with AVX-512 and VNNI: two strips side by side, the first in the lower halves.
#include "kernels/linear_a8/strips.h"

#if LAMELLA_AVX512

#include <utility>

#include "base/avx512.h"

LAMELLA_TARGET_BEGIN("avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")

namespace lamella {
namespace {

constexpr std::size_t kTokens = 8;
constexpr std::size_t kStrips = 2;
constexpr bool kPaired = false;
constexpr bool kSparse = false;
using Sums = __m512;

// One pointer or index for each of the two strips.
template <typename Item>
struct Both {
  Item first;
  Item last;
};

LAMELLA_INLINE __m512i load(Both<const std::uint8_t*> tiles, std::size_t byte) {
  const __m256i first = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(tiles.first + byte));
  const __m256i last = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(tiles.last + byte));
  return _mm512_inserti64x4(_mm512_castsi256_si512(first), last, 1);
}

template <int kBits, std::size_t kVector, std::size_t kIndex>
LAMELLA_INLINE __m512i load_piece(Both<const std::uint8_t*> tiles) {
  constexpr Piece kPiece = spread_piece(kBits, kVector, kIndex);
  if constexpr (kPiece.mask == 0) return _mm512_setzero_si512();
  const __m512i vector = load(tiles, kPiece.vector * kVectorBytes);
  return _mm512_and_si512(_mm512_srli_epi16(vector, kPiece.shift),
                          _mm512_set1_epi8(static_cast<char>(kPiece.mask)));
}

template <int kBits, std::size_t kVector>
LAMELLA_INLINE __m512i load_vector(Both<const std::uint8_t*> tiles) {
  if constexpr (is_spread(kBits, kVector)) {
    return _mm512_or_si512(
        _mm512_or_si512(load_piece<kBits, kVector, 0>(tiles), load_piece<kBits, kVector, 1>(tiles)),
        load_piece<kBits, kVector, 2>(tiles));
  } else {
    return load(tiles, kVector * kVectorBytes);
  }
}

// The codes of one step, a byte each.
template <int kBits, std::size_t kStep>
LAMELLA_INLINE __m512i step_codes(Both<const std::uint8_t*> tiles) {
  constexpr StepPlace kPlace = step_place(kBits, kStep);
  const __m512i vector = load_vector<kBits, kPlace.vector>(tiles);
  // Spread vectors of one step have no other bits.
  if constexpr (kBits == 8 || (kBits > 4 && is_spread(kBits, kPlace.vector))) return vector;
  return _mm512_and_si512(_mm512_srli_epi16(vector, kPlace.shift),
                          _mm512_set1_epi8(static_cast<char>((1 << kBits) - 1)));
}

LAMELLA_INLINE __m512 load_scale(const LinearWeight& weight, Both<std::size_t> grid) {
  if (weight.row_scale != nullptr) {
    const __m512 first = _mm512_castps256_ps512(_mm256_loadu_ps(weight.row_scale + grid.first));
    return _mm512_insertf32x8(first, _mm256_loadu_ps(weight.row_scale + grid.last), 1);
  }
  const auto* first = reinterpret_cast<const __m128i*>(weight.half_scale + grid.first);
  const auto* last = reinterpret_cast<const __m128i*>(weight.half_scale + grid.last);
  return _mm512_cvtph_ps(_mm256_set_m128i(_mm_loadu_si128(last), _mm_loadu_si128(first)));
}

template <int kBits>
LAMELLA_INLINE __m512i load_zero(const LinearWeight& weight, Both<std::size_t> grid) {
  if (weight.zero == nullptr) return _mm512_set1_epi32(1 << (kBits - 1));
  const auto* first = reinterpret_cast<const __m128i*>(weight.zero + grid.first);
  const auto* last = reinterpret_cast<const __m128i*>(weight.zero + grid.last);
  return _mm512_cvtepu8_epi32(_mm_unpacklo_epi64(_mm_loadl_epi64(first), _mm_loadl_epi64(last)));
}

template <int kBits, std::size_t kParts>
struct Tile {
  LAMELLA_INLINE Tile(const LinearWeight& weight, Strips strips, std::size_t block) {
    Both<std::size_t> grid{weight.grid(strips.first, block), weight.grid(strips.last, block)};
    for (std::size_t part = 0; part < kParts; ++part) {
      scale[part] = load_scale(weight, grid);
      zero[part] = load_zero<kBits>(weight, grid);
      grid = {grid.first + kStripRows, grid.last + kStripRows};
    }
    unpack({weight.tile(strips.first, block), weight.tile(strips.last, block)},
           std::make_index_sequence<kSteps>());
  }

  template <std::size_t... kStep>
  LAMELLA_INLINE void unpack(Both<const std::uint8_t*> tiles, std::index_sequence<kStep...>) {
    ((codes[kStep] = step_codes<kBits, kStep>(tiles)), ...);
  }

  template <std::size_t kFirst, std::size_t... kStep>
  LAMELLA_INLINE __m512i dot(const std::int8_t* input, std::index_sequence<kStep...>) const {
    __m512i sum = _mm512_setzero_si512();
    ((sum = _mm512_dpbusd_epi32(sum, codes[kFirst + kStep],
                                _mm512_set1_epi32(step_input(input, kFirst + kStep)))),
     ...);
    return sum;
  }

  template <std::size_t kPart>
  LAMELLA_INLINE Sums add_part(const TokenBlock& token, Sums sums) const {
    constexpr std::size_t kCount = kSteps / kParts;
    const __m512i of_part = dot<kPart * kCount>(token.codes, std::make_index_sequence<kCount>());
    // The upper half of each 32-bit zero point is 0, so that this multiplies only the lower one.
    const std::int32_t part = sum_of_part<kParts, kPart>(token);
    const __m512i offset = _mm512_madd_epi16(zero[kPart], _mm512_set1_epi32(part));
    const __m512i exact = _mm512_sub_epi32(of_part, offset);
    const __m512 step = _mm512_mul_ps(scale[kPart], _mm512_set1_ps(token.scale));
    return _mm512_fmadd_ps(step, _mm512_cvtepi32_ps(exact), sums);
  }

  LAMELLA_INLINE Sums add(const TokenBlock& token, Sums sums) const {
    sums = add_part<0>(token, sums);
    if constexpr (kParts == 2) sums = add_part<1>(token, sums);
    return sums;
  }

  __m512i codes[kSteps];
  __m512 scale[kParts];
  __m512i zero[kParts];
};

void store(Sums sums, float* rows) { _mm512_storeu_ps(rows, sums); }

#include "kernels/linear_a8/strips.inc"

}  // namespace

void linear_w2a8_avx512(const LinearCall& call, Slice strips) { run<2>(call, strips); }
void linear_w3a8_avx512(const LinearCall& call, Slice strips) { run<3>(call, strips); }
void linear_w4a8_avx512(const LinearCall& call, Slice strips) { run<4>(call, strips); }
void linear_w5a8_avx512(const LinearCall& call, Slice strips) { run<5>(call, strips); }
void linear_w6a8_avx512(const LinearCall& call, Slice strips) { run<6>(call, strips); }
void linear_w8a8_avx512(const LinearCall& call, Slice strips) { run<8>(call, strips); }

}  // namespace lamella

LAMELLA_TARGET_END

#endif  // LAMELLA_AVX512
