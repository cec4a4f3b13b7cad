// sparse_linear_a8 with AVX-512 VBMI2: vpexpandb puts the codes of a pair into their places.
#include "kernels/sparse_linear_a8/sparse_linear_a8.h"

#if LAMELLA_AVX512

#include <utility>

#include "base/avx512.h"
#include "kernels/linear_a8/ymm.h"

LAMELLA_TARGET_BEGIN(
    "avx2,fma,f16c,popcnt,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512vbmi2")

namespace lamella {
namespace {

constexpr std::size_t kTokens = 4;
constexpr std::size_t kStrips = 1;
constexpr bool kPaired = false;
constexpr bool kSparse = true;
using Sums = __m256;

template <int kBits>
LAMELLA_INLINE __m512i load_kept(const std::uint8_t* kept) {
  if constexpr (kBits == 8) {
    return _mm512_loadu_si512(kept);
  } else {
    const __m512i words = _mm512_cvtepu8_epi16(ymm::load(kept));
    return _mm512_and_si512(_mm512_or_si512(words, _mm512_slli_epi16(words, 4)),
                            _mm512_set1_epi8(15));
  }
}

template <int kBits, std::size_t kParts>
struct Tile {
  LAMELLA_INLINE Tile(const LinearWeight& weight, Strips strips, std::size_t block)
      : grids(weight, weight.grid(strips.first, block)) {
    __m512i zero[kParts];
    for (std::size_t part = 0; part < kParts; ++part) {
      const __m256i bytes = _mm256_mullo_epi32(grids.zero[part], _mm256_set1_epi32(0x01010101));
      zero[part] = _mm512_broadcast_i64x4(bytes);
    }
    const std::size_t number = strips.first * blocks_of(weight.cols) + block;
    const std::uint8_t* kept = weight.kept_codes(strips.first, block);
    unpack(weight.masks + number * kPairs, kept, zero, std::make_index_sequence<kPairs>());
  }

  template <std::size_t... kPair>
  LAMELLA_INLINE void unpack(const std::uint64_t* masks, const std::uint8_t* kept,
                             const __m512i* zero, std::index_sequence<kPair...>) {
    ((codes[kPair] = _mm512_mask_expand_epi8(zero[kPair * kParts / kPairs], masks[kPair],
                                             load_kept<kBits>(kept)),
      kept += kept_bytes(kBits, masks[kPair])),
     ...);
  }

  // The dot products of the pairs from kFirst on.
  template <std::size_t kFirst, std::size_t... kPair>
  LAMELLA_INLINE __m256i dot(const std::int8_t* input, std::index_sequence<kPair...>) const {
    __m512i sum = _mm512_setzero_si512();
    ((sum = _mm512_dpbusd_epi32(
          sum, codes[kFirst + kPair],
          _mm512_mask_set1_epi32(_mm512_set1_epi32(step_input(input, 2 * (kFirst + kPair))), 0xff00,
                                 step_input(input, 2 * (kFirst + kPair) + 1)))),
     ...);
    return _mm256_add_epi32(_mm512_castsi512_si256(sum), _mm512_extracti64x4_epi64(sum, 1));
  }

  LAMELLA_INLINE Sums add(const TokenBlock& token, Sums sums) const {
    constexpr auto kSome = std::make_index_sequence<kPairs / kParts>();
    sums = grids.template add<0>(dot<0>(token.codes, kSome), token, sums);
    if constexpr (kParts == 2) {
      sums = grids.template add<1>(dot<kPairs / 2>(token.codes, kSome), token, sums);
    }
    return sums;
  }

  ymm::Tile<kBits, kParts> grids;
  __m512i codes[kPairs];
};

void store(Sums sums, float* rows) { _mm256_storeu_ps(rows, sums); }

#include "kernels/linear_a8/strips.inc"

}  // namespace

void sparse_linear_w4a8_avx512vbmi2(const LinearCall& call, Slice strips) { run<4>(call, strips); }
void sparse_linear_w8a8_avx512vbmi2(const LinearCall& call, Slice strips) { run<8>(call, strips); }

}  // namespace lamella

LAMELLA_TARGET_END

#endif  // LAMELLA_AVX512
