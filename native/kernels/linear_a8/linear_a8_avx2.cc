// linear_a8 with AVX2, which has no exact product of bytes: vpmaddubsw saturates at 16 bits. Codes
// of up to 4 bits fit a whole block into 16 bits, 16 * 15 * 127 = 30480; wider ones fit less, and
// codes of 8 bits are taken as two of 4.
#include "kernels/linear_a8/ymm.h"

#if LAMELLA_X86

LAMELLA_TARGET_BEGIN("avx2,fma,f16c")

namespace lamella {
namespace {

constexpr std::size_t kTokens = 4;
constexpr std::size_t kStrips = 1;
constexpr bool kPaired = false;
using Sums = __m256;

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

template <int kBits, std::size_t kParts>
struct Tile {
  LAMELLA_INLINE Tile(const LinearWeight& weight, Strips strips, std::size_t block)
      : tile(weight, strips.first, block) {}

  LAMELLA_INLINE Sums add(const TokenBlock& token, Sums sums) const {
    sums = tile.template add<0>(dot<0>(token.codes), token, sums);
    if constexpr (kParts == 2) sums = tile.template add<1>(dot<1>(token.codes), token, sums);
    return sums;
  }

  template <std::size_t kPart>
  LAMELLA_INLINE __m256i dot(const std::int8_t* input) const {
    constexpr std::size_t kCount = kSteps / kParts, kFirst = kPart * kCount;
    if constexpr (kBits == 8) {
      const auto steps = std::make_index_sequence<kSteps>();
      return dot_bytes<kFirst, kFirst + kCount>(tile.codes, input, steps);
    } else {
      return dot_codes<kBits, kFirst, kFirst + kCount>(tile.codes, input, _mm256_set1_epi16(1));
    }
  }

  ymm::Tile<kBits, kParts> tile;
};

void store(Sums sums, float* rows) { _mm256_storeu_ps(rows, sums); }

#include "kernels/linear_a8/strips.inc"

}  // namespace

void linear_w2a8_avx2(const LinearCall& call, Slice strips) { run<2>(call, strips); }
void linear_w3a8_avx2(const LinearCall& call, Slice strips) { run<3>(call, strips); }
void linear_w4a8_avx2(const LinearCall& call, Slice strips) { run<4>(call, strips); }
void linear_w5a8_avx2(const LinearCall& call, Slice strips) { run<5>(call, strips); }
void linear_w6a8_avx2(const LinearCall& call, Slice strips) { run<6>(call, strips); }
void linear_w8a8_avx2(const LinearCall& call, Slice strips) { run<8>(call, strips); }

}  // namespace lamella

LAMELLA_TARGET_END

#endif  // LAMELLA_X86
