// A fragment: 16 elements of a cache row as a Value, and the tree over a Value's lanes.
//
// Included after kernels/math/value_avx512.h, in a region for AVX-512 F, BW, DQ and VL. Each format
// has its bits per element and load(), which returns codes without their scale.

// Beside 4 rows, the registers have room for 4 keys or 4 parts of a value.
constexpr std::size_t kTileKeys = 4;
constexpr std::size_t kTileParts = 4;

// Writes 16 floats as they are.
inline void keep(float* to, Value x) { _mm512_storeu_ps(to, x); }

struct Float32 {
  static constexpr std::size_t kBits = 32;

  static Value load(const std::uint8_t* row) { return _mm512_loadu_ps(row); }
};

struct Float16 {
  static constexpr std::size_t kBits = 16;

  static Value load(const std::uint8_t* row) {
    return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(row)));
  }
};

inline Value from_bytes(__m128i codes) { return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(codes)); }

#include "kernels/attention/cache_x86.h"

// The tree of kernels/math/tree.h.
inline float sum_of(Value lanes) {
  const __m256 low = _mm512_castps512_ps256(lanes);
  return sum_of_eight(_mm256_add_ps(low, _mm512_extractf32x8_ps(lanes, 1)));
}

// Sixteen trees together: the halves of two sums share a register, then the quarters of four.
inline Value halves(Value a, Value b) {
  return add(_mm512_mask_blend_ps(0xff00, a, b), _mm512_shuffle_f32x4(a, b, 0x4e));
}

inline Value quarters(Value a, Value b, Value c, Value d) {
  const Value ab = halves(a, b), cd = halves(c, d);
  return add(_mm512_shuffle_f32x4(ab, cd, 0x88), _mm512_shuffle_f32x4(ab, cd, 0xdd));
}

inline Value pairs(Value a, Value b) {
  return add(_mm512_shuffle_ps(a, b, 0x44), _mm512_shuffle_ps(a, b, 0xee));
}

inline void store_trees(const Value (&sums)[4][4], float* to, std::size_t stride) {
  Value key[4];
  for (int k = 0; k < 4; ++k) {
    key[k] = quarters(sums[0][k], sums[1][k], sums[2][k], sums[3][k]);
  }
  const Value first = pairs(key[0], key[1]), last = pairs(key[2], key[3]);
  const Value one = add(_mm512_shuffle_ps(first, last, 0x88), _mm512_shuffle_ps(first, last, 0xdd));
  _mm_storeu_ps(to, _mm512_castps512_ps128(one));
  _mm_storeu_ps(to + stride, _mm512_extractf32x4_ps(one, 1));
  _mm_storeu_ps(to + 2 * stride, _mm512_extractf32x4_ps(one, 2));
  _mm_storeu_ps(to + 3 * stride, _mm512_extractf32x4_ps(one, 3));
}
