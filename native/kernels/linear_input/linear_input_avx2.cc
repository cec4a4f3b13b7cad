// linear_input with AVX2: a block is four registers of floats and one of codes.
#include "kernels/linear_input/linear_input.h"

#if LAMELLA_X86

#include <immintrin.h>

#include "kernels/linear_input/tokens.h"

LAMELLA_TARGET_BEGIN("avx2,fma,f16c")

namespace lamella {
namespace {

std::uint32_t largest(__m256i values) {
  const __m128i eight = _mm256_castsi256_si128(values);
  const __m128i four = _mm_max_epi32(eight, _mm256_extracti128_si256(values, 1));
  const __m128i two = _mm_max_epi32(four, _mm_unpackhi_epi64(four, four));
  const __m128i one = _mm_max_epi32(two, _mm_shuffle_epi32(two, 1));
  return static_cast<std::uint32_t>(_mm_cvtsi128_si32(one));
}

void write_sums_of(__m256i codes, const BlockResult& result) {
  const __m256i pairs = _mm256_maddubs_epi16(_mm256_set1_epi8(1), codes);
  const __m256i four = _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
  // Each half of the register has the sums of its 16 codes.
  const __m256i two = _mm256_add_epi32(four, _mm256_unpackhi_epi64(four, four));
  const __m256i one = _mm256_add_epi32(two, _mm256_shuffle_epi32(two, 1));
  result.write_sums(_mm_cvtsi128_si32(_mm256_castsi256_si128(one)),
                    _mm_cvtsi128_si32(_mm256_extracti128_si256(one, 1)));
}

__m256i rounded(__m256 x, __m256 inverse) { return _mm256_cvtps_epi32(_mm256_mul_ps(x, inverse)); }

void run_block(const float* x, const BlockResult& result) {
  const __m256 x0 = _mm256_loadu_ps(x), x1 = _mm256_loadu_ps(x + 8);
  const __m256 x2 = _mm256_loadu_ps(x + 16), x3 = _mm256_loadu_ps(x + 24);
  const __m256 sign = _mm256_set1_ps(-0.0f);
  const auto magnitude = [sign](__m256 value) {
    return _mm256_castps_si256(_mm256_andnot_ps(sign, value));
  };
  const __m256i low = _mm256_max_epi32(magnitude(x0), magnitude(x1));
  const __m256i high = _mm256_max_epi32(magnitude(x2), magnitude(x3));
  const BlockScale block = scale_of_block(largest(_mm256_max_epi32(low, high)));
  if (block.inverse == 0) return write_empty(block.scale, result);
  const __m256 inverse = _mm256_set1_ps(block.inverse);
  const __m256i first = _mm256_packs_epi32(rounded(x0, inverse), rounded(x1, inverse));
  const __m256i second = _mm256_packs_epi32(rounded(x2, inverse), rounded(x3, inverse));
  // Packing works within halves of a register, so that runs of four codes must change places.
  const __m256i places = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
  const __m256i codes = _mm256_permutevar8x32_epi32(_mm256_packs_epi16(first, second), places);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(result.codes), codes);
  *result.scale = block.scale;
  write_sums_of(codes, result);
}

}  // namespace

void linear_input_avx2(const float* x, const LinearInput& input, Slice tokens) {
  for_each_block(x, input, tokens, &run_block);
}

}  // namespace lamella

LAMELLA_TARGET_END

#endif  // LAMELLA_X86
