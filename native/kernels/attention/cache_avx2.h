// A fragment: 16 elements of a cache row as a Value, and the tree over a Value's lanes.
//
// Included after kernels/math/value_avx2.h, in a region for "avx2,fma,f16c". Each format has its
// bits per element and load(), which returns codes without their scale.

// Beside 4 rows, the registers have room for one key or for one part of a value.
constexpr std::size_t kTileKeys = 1;
constexpr std::size_t kTileParts = 1;

// Writes 16 floats as they are.
inline void keep(float* to, Value x) {
  _mm256_storeu_ps(to, x.low);
  _mm256_storeu_ps(to + 8, x.high);
}

struct Float32 {
  static constexpr std::size_t kBits = 32;

  static Value load(const std::uint8_t* row) {
    const auto* from = reinterpret_cast<const float*>(row);
    return {_mm256_loadu_ps(from), _mm256_loadu_ps(from + 8)};
  }
};

struct Float16 {
  static constexpr std::size_t kBits = 16;

  static Value load(const std::uint8_t* row) {
    const auto* from = reinterpret_cast<const __m128i*>(row);
    return {_mm256_cvtph_ps(_mm_loadu_si128(from)), _mm256_cvtph_ps(_mm_loadu_si128(from + 1))};
  }
};

inline Value from_bytes(__m128i codes) {
  return {_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(codes)),
          _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_unpackhi_epi64(codes, codes)))};
}

#include "kernels/attention/cache_x86.h"

// The tree of kernels/math/tree.h.
inline float sum_of(Value lanes) { return sum_of_eight(_mm256_add_ps(lanes.low, lanes.high)); }

// Four trees together: the halves of two rows share a register.
inline __m256 halves(Value a, Value b) {
  const __m256 x = _mm256_add_ps(a.low, a.high), y = _mm256_add_ps(b.low, b.high);
  return _mm256_add_ps(_mm256_blend_ps(x, y, 0xf0), _mm256_permute2f128_ps(x, y, 0x21));
}

inline void store_trees(const Value (&sums)[4][1], float* to, std::size_t stride) {
  const __m256 first = halves(sums[0][0], sums[2][0]), last = halves(sums[1][0], sums[3][0]);
  const __m256 two =
      _mm256_add_ps(_mm256_shuffle_ps(first, last, 0x44), _mm256_shuffle_ps(first, last, 0xee));
  const __m256 one = _mm256_add_ps(two, _mm256_movehdup_ps(two));
  const __m128 low = _mm256_castps256_ps128(one), high = _mm256_extractf128_ps(one, 1);
  _mm_store_ss(to, low);
  _mm_store_ss(to + stride, _mm_movehl_ps(low, low));
  _mm_store_ss(to + 2 * stride, high);
  _mm_store_ss(to + 3 * stride, _mm_movehl_ps(high, high));
}
