// A fragment: what the ways to multiply in 256-bit registers share. Included before their region's
// Ways, after <immintrin.h>.

struct Codes {
  using Operand = __m256i;
  using Sum = __m256i;

  LAMELLA_INLINE static __m256i all(int code) { return _mm256_set1_epi8(static_cast<char>(code)); }
  LAMELLA_INLINE static __m256i zero() { return _mm256_setzero_si256(); }

  LAMELLA_INLINE static std::uint32_t total(__m256i sum) {
    std::uint32_t lanes[8], all = 0;
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(lanes), sum);
    for (const std::uint32_t lane : lanes) all += lane;
    return all;
  }
};
