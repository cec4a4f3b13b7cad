// A fragment: Rows is a float for each row of two strips, the first in the lower half of one
// AVX-512 register.
//
// Included inside an unnamed namespace and a region for AVX-512 F and DQ, after
// kernels/linear_a8/ymm.h. rows_avx2.h says what the operations do.

constexpr std::size_t kWide = 2;
constexpr std::size_t kSums = 24;
constexpr std::size_t kTile = 14;

using Rows = __m512;
using Codes = __m512i;

inline Rows zero_rows() { return _mm512_setzero_ps(); }

inline Rows joined(__m256 first, __m256 last) {
  return _mm512_insertf32x8(_mm512_castps256_ps512(first), last, 1);
}

inline Codes joined(__m256i first, __m256i last) {
  return _mm512_inserti64x4(_mm512_castsi256_si512(first), last, 1);
}

inline Rows load_rows(const float* const* strips, std::size_t offset) {
  return joined(_mm256_loadu_ps(strips[0] + offset), _mm256_loadu_ps(strips[1] + offset));
}

inline Rows load_rows(const std::uint16_t* const* strips, std::size_t offset) {
  const __m128i first = _mm_loadu_si128(reinterpret_cast<const __m128i*>(strips[0] + offset));
  const __m128i last = _mm_loadu_si128(reinterpret_cast<const __m128i*>(strips[1] + offset));
  return _mm512_cvtph_ps(_mm256_set_m128i(last, first));
}

inline Rows load_plain(const float* from) { return _mm512_loadu_ps(from); }

inline void store_rows(float* to, Rows rows) { _mm512_storeu_ps(to, rows); }

inline Rows fused(Rows weight, float x, Rows sum) {
  return _mm512_fmadd_ps(weight, _mm512_set1_ps(x), sum);
}

inline Codes load_codes(const std::uint8_t* const* strips, std::size_t offset) {
  return joined(ymm::load(strips[0] + offset), ymm::load(strips[1] + offset));
}

inline Rows load_scale(const LinearWeight& weight, const std::size_t* grids) {
  return joined(ymm::load_scale(weight, grids[0]), ymm::load_scale(weight, grids[1]));
}

template <int kBits>
inline Codes load_zero(const LinearWeight& weight, const std::size_t* grids) {
  return joined(ymm::load_zero<kBits>(weight, grids[0]), ymm::load_zero<kBits>(weight, grids[1]));
}

template <int kBits, int kShift>
inline Rows decode(Codes codes, Codes zero, Rows scale) {
  const __m512i mask = _mm512_set1_epi32((1 << kBits) - 1);
  const __m512i code = _mm512_and_si512(_mm512_srli_epi32(codes, kShift), mask);
  return _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_sub_epi32(code, zero)), scale);
}
