// A fragment: how the epilogue reads sums and codes and writes rows, in AVX2 registers.
// Included after <cstring> and kernels/math/value_avx2.h.

constexpr std::size_t kWidth = 16;

inline __m256i load_eight(const std::int32_t* from) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
}

template <int kLowered>
inline __m256 exact_eight(const Epilogue& epilogue, std::size_t row, const std::int32_t* sums) {
  static_assert(kLowered == 0, "these processors multiply codes as they are");
  return _mm256_cvtepi32_ps(_mm256_add_epi32(load_eight(sums), load_eight(epilogue.offset + row)));
}

template <int kLowered>
inline Value exact_sums(const Epilogue& epilogue, std::size_t row, const std::int32_t* sums) {
  return {exact_eight<kLowered>(epilogue, row, sums),
          exact_eight<kLowered>(epilogue, row + 8, sums + 8)};
}

// The codes of 16 rows, or of the first `count` of them and zeros.
inline __m128i load_block(const std::uint8_t* codes) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(codes));
}

inline __m128i load_first_codes(const std::uint8_t* codes, std::size_t count) {
  std::uint8_t first[kWidth] = {};
  std::memcpy(first, codes, count);
  return load_block(first);
}

inline Value load_codes(const std::uint8_t* codes, std::int32_t zero, std::size_t count) {
  const __m128i bytes = count == kWidth ? load_block(codes) : load_first_codes(codes, count);
  const __m256i less = _mm256_set1_epi32(zero);
  const __m256i low = _mm256_sub_epi32(_mm256_cvtepu8_epi32(bytes), less);
  const __m256i high = _mm256_sub_epi32(_mm256_cvtepu8_epi32(_mm_srli_si128(bytes, 8)), less);
  return {_mm256_cvtepi32_ps(low), _mm256_cvtepi32_ps(high)};
}

inline void store_codes(std::uint8_t* to, Value t, std::int32_t zero, std::size_t count) {
  const __m256i more = _mm256_set1_epi32(zero);
  const __m256i low = _mm256_add_epi32(_mm256_cvtps_epi32(t.low), more);
  const __m256i high = _mm256_add_epi32(_mm256_cvtps_epi32(t.high), more);
  // Packing works within halves of a register, so that the middle quarters must change places.
  const __m256i words = _mm256_permute4x64_epi64(_mm256_packs_epi32(low, high), 0xd8);
  const __m128i bytes =
      _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
  if (count == kWidth) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to), bytes);
  } else if (count == kWidth / 2) {
    _mm_storel_epi64(reinterpret_cast<__m128i*>(to), bytes);
  } else {
    std::uint8_t all[kWidth];
    _mm_storeu_si128(reinterpret_cast<__m128i*>(all), bytes);
    std::memcpy(to, all, count);
  }
}

inline void store_rows(float* to, Value t, std::size_t count) {
  if (count == kWidth) {
    _mm256_storeu_ps(to, t.low);
    _mm256_storeu_ps(to + 8, t.high);
  } else {
    store_first(to, t, count);
  }
}
