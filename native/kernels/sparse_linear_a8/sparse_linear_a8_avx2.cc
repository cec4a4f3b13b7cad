// sparse_linear_a8 with AVX2: a table says where each 8 places find their codes.
#include "kernels/sparse_linear_a8/sparse_linear_a8.h"

#if LAMELLA_X86

#include <immintrin.h>

#include <utility>

#include "kernels/linear_a8/ymm.h"
#include "kernels/sparse_linear_a8/spread.h"

LAMELLA_TARGET_BEGIN("avx2,fma,f16c,popcnt")

namespace lamella {
namespace {

constexpr std::size_t kTokens = 4;
constexpr std::size_t kStrips = 1;
constexpr bool kPaired = false;
constexpr bool kSparse = true;
using Sums = __m256;

// 8 places; moves `kept` behind their codes.
LAMELLA_INLINE __m128i spread(const std::uint8_t*& kept, std::uint32_t mask) {
  const auto* places = reinterpret_cast<const __m128i*>(kSpread.places[mask & 255]);
  const __m128i codes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(kept));
  kept += __builtin_popcount(mask & 255);
  return _mm_shuffle_epi8(codes, _mm_loadl_epi64(places));
}

// All ones in the bytes whose bits are 0.
LAMELLA_INLINE __m256i gaps(std::uint32_t mask) {
  const __m256i from = _mm256_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2,
                                        2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3);
  const __m256i bits = _mm256_set1_epi64x(static_cast<long long>(0x8040201008040201u));
  const __m256i bytes = _mm256_shuffle_epi8(_mm256_set1_epi32(static_cast<int>(mask)), from);
  return _mm256_cmpeq_epi8(_mm256_and_si256(bytes, bits), _mm256_setzero_si256());
}

// The 32 places of a step.
LAMELLA_INLINE __m256i step_codes(const std::uint8_t*& kept, std::uint32_t mask, __m256i zero) {
  const __m128i first = spread(kept, mask), second = spread(kept, mask >> 8);
  const __m128i third = spread(kept, mask >> 16), fourth = spread(kept, mask >> 24);
  const __m256i codes =
      _mm256_set_m128i(_mm_unpacklo_epi64(third, fourth), _mm_unpacklo_epi64(first, second));
  return _mm256_or_si256(codes, _mm256_and_si256(gaps(mask), zero));
}

// 32 codes of 4 bits, a byte each.
LAMELLA_INLINE __m256i nibbles(const std::uint8_t* packed) {
  const __m256i words =
      _mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(packed)));
  return _mm256_and_si256(_mm256_or_si256(words, _mm256_slli_epi16(words, 4)),
                          _mm256_set1_epi8(15));
}

template <int kBits, std::size_t kParts>
struct Tile {
  LAMELLA_INLINE Tile(const LinearWeight& weight, Strips strips, std::size_t block)
      : tile(weight, weight.grid(strips.first, block)) {
    const std::size_t number = strips.first * blocks_of(weight.cols) + block;
    const std::uint8_t* kept = weight.kept_codes(strips.first, block);
    for (std::size_t pair = 0; pair < kPairs; ++pair) {
      const std::uint64_t mask = weight.masks[number * kPairs + pair];
      const __m256i zero = tile.zero[pair * kParts / kPairs];
      const __m256i bytes = _mm256_mullo_epi32(zero, _mm256_set1_epi32(0x01010101));
      unpack(kept, mask, bytes, tile.codes + 2 * pair);
      kept += kept_bytes(kBits, mask);
    }
  }

  LAMELLA_INLINE static void unpack(const std::uint8_t* kept, std::uint64_t mask, __m256i zero,
                                    __m256i* codes) {
    // The last 8 bytes are read beside the codes and not used.
    alignas(32) std::uint8_t wide[72];
    if constexpr (kBits == 4) {
      _mm256_store_si256(reinterpret_cast<__m256i*>(wide), nibbles(kept));
      _mm256_store_si256(reinterpret_cast<__m256i*>(wide + 32), nibbles(kept + 16));
      _mm_storel_epi64(reinterpret_cast<__m128i*>(wide + 64), _mm_setzero_si128());
      kept = wide;
    }
    codes[0] = step_codes(kept, static_cast<std::uint32_t>(mask), zero);
    codes[1] = step_codes(kept, static_cast<std::uint32_t>(mask >> 32), zero);
  }

  LAMELLA_INLINE Sums add(const TokenBlock& token, Sums sums) const {
    return ymm::add_dots(tile, token, sums);
  }

  ymm::Tile<kBits, kParts> tile;
};

void store(Sums sums, float* rows) { _mm256_storeu_ps(rows, sums); }

#include "kernels/linear_a8/strips.inc"

}  // namespace

void sparse_linear_w4a8_avx2(const LinearCall& call, Slice strips) { run<4>(call, strips); }
void sparse_linear_w8a8_avx2(const LinearCall& call, Slice strips) { run<8>(call, strips); }

}  // namespace lamella

LAMELLA_TARGET_END

#endif  // LAMELLA_X86
