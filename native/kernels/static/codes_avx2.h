// A fragment: 16 codes of a byte and what they stand for, in AVX2 registers.
// Included after <cstring> and kernels/math/value_avx2.h.

constexpr std::size_t kWidth = 16;
using Block = __m128i;

// 16 codes, or the first `count` of them and zeros.
inline Block load_block(const std::uint8_t* codes) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(codes));
}

inline Block load_first_codes(const std::uint8_t* codes, std::size_t count) {
  std::uint8_t first[kWidth] = {};
  std::memcpy(first, codes, count);
  return load_block(first);
}

inline Block load_codes(const std::uint8_t* codes, std::size_t count) {
  return count == kWidth ? load_block(codes) : load_first_codes(codes, count);
}

// Each code with the bits of `mask` inverted.
inline Block inverted(Block codes, std::uint8_t mask) {
  return _mm_xor_si128(codes, _mm_set1_epi8(static_cast<char>(mask)));
}

// Each code less `zero`.
inline Value reals_of(Block codes, std::int32_t zero) {
  const __m256i less = _mm256_set1_epi32(zero);
  const __m256i low = _mm256_sub_epi32(_mm256_cvtepu8_epi32(codes), less);
  const __m256i high = _mm256_sub_epi32(_mm256_cvtepu8_epi32(_mm_srli_si128(codes, 8)), less);
  return {_mm256_cvtepi32_ps(low), _mm256_cvtepi32_ps(high)};
}

// round(t) + zero, ties to even, where this is 0 to 255.
inline Block codes_of(Value t, std::int32_t zero) {
  const __m256i more = _mm256_set1_epi32(zero);
  const __m256i low = _mm256_add_epi32(_mm256_cvtps_epi32(t.low), more);
  const __m256i high = _mm256_add_epi32(_mm256_cvtps_epi32(t.high), more);
  // Packing works within halves of a register, so that the middle quarters must change places.
  const __m256i words = _mm256_permute4x64_epi64(_mm256_packs_epi32(low, high), 0xd8);
  return _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
}

inline void store_codes(std::uint8_t* to, Block codes, std::size_t count) {
  if (count == kWidth) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to), codes);
  } else if (count == kWidth / 2) {
    _mm_storel_epi64(reinterpret_cast<__m128i*>(to), codes);
  } else {
    std::uint8_t all[kWidth];
    _mm_storeu_si128(reinterpret_cast<__m128i*>(all), codes);
    std::memcpy(to, all, count);
  }
}
