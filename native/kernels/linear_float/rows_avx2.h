// A fragment: Rows is a float for each of the 8 rows of a strip, in one AVX2 register.
//
// Included inside an unnamed namespace and a region for "avx2,fma,f16c", after
// kernels/linear_a8/ymm.h. rows_avx512.h and rows_neon.h have the same operations.

constexpr std::size_t kWide = 1;   // strips that Rows spans
constexpr std::size_t kSums = 12;  // Rows that stay in registers beside a column and an input
constexpr std::size_t kTile = 6;   // tokens whose sums of two Rows stay in registers

using Rows = __m256;
using Codes = __m256i;

inline Rows zero_rows() { return _mm256_setzero_ps(); }

// One column, from the strips at `strips`.
inline Rows load_rows(const float* const* strips, std::size_t offset) {
  return _mm256_loadu_ps(strips[0] + offset);
}

inline Rows load_rows(const std::uint16_t* const* strips, std::size_t offset) {
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(strips[0] + offset)));
}

// The rows of a column that is stored as floats.
inline Rows load_plain(const float* from) { return _mm256_loadu_ps(from); }

inline void store_rows(float* to, Rows rows) { _mm256_storeu_ps(to, rows); }

// weight * x + sum with one rounding.
inline Rows fused(Rows weight, float x, Rows sum) {
  return _mm256_fmadd_ps(weight, _mm256_set1_ps(x), sum);
}

// 32 bytes of each strip: 4 for each row.
inline Codes load_codes(const std::uint8_t* const* strips, std::size_t offset) {
  return ymm::load(strips[0] + offset);
}

inline Rows load_scale(const LinearWeight& weight, const std::size_t* grids) {
  return ymm::load_scale(weight, grids[0]);
}

template <int kBits>
inline Codes load_zero(const LinearWeight& weight, const std::size_t* grids) {
  return ymm::load_zero<kBits>(weight, grids[0]);
}

// (code - zero) * scale, where the code of a row is at bit kShift of its 4 bytes.
template <int kBits, int kShift>
inline Rows decode(Codes codes, Codes zero, Rows scale) {
  const __m256i mask = _mm256_set1_epi32((1 << kBits) - 1);
  const __m256i code = _mm256_and_si256(_mm256_srli_epi32(codes, kShift), mask);
  return _mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_sub_epi32(code, zero)), scale);
}
