// A fragment: the integers of a cache as 16 bytes, and the end of the tree over a Value's lanes.
// Included by kernels/attention/cache_<isa>.h after from_bytes(__m128i), which gives a Value.

struct Int8 {
  static constexpr std::size_t kBits = 8;

  static Value load(const std::uint8_t* row) {
    return from_bytes(_mm_loadu_si128(reinterpret_cast<const __m128i*>(row)));
  }
};

struct Int4 {
  static constexpr std::size_t kBits = 4;

  static Value load(const std::uint8_t* row) {
    const __m128i mask = _mm_set1_epi8(15);
    const __m128i pairs = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(row));
    const __m128i first = _mm_and_si128(pairs, mask);
    const __m128i second = _mm_and_si128(_mm_srli_epi16(pairs, 4), mask);
    return from_bytes(_mm_sub_epi8(_mm_unpacklo_epi8(first, second), _mm_set1_epi8(8)));
  }
};

// The tree of kernels/math/tree.h, from its second level on.
inline float sum_of_eight(__m256 eight) {
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}
