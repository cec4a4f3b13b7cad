// A fragment: how the epilogue reads sums and codes and writes rows, in AVX-512 registers. Included
// after kernels/math/value_avx512.h, inside a region for AVX-512 BW and VL, too.

constexpr std::size_t kWidth = 16;
using Block = __m128i;

// What the sums of 16 rows lack.
template <int kLowered>
inline __m512i offsets_of(const Epilogue& epilogue, std::size_t row) {
  static_assert(kLowered == 0, "these processors multiply codes as they are");
  return _mm512_loadu_si512(epilogue.offset + row);
}

inline Value exact_sums(__m512i offsets, const std::int32_t* sums) {
  return _mm512_cvtepi32_ps(_mm512_add_epi32(_mm512_loadu_si512(sums), offsets));
}

inline Block load_codes(const std::uint8_t* codes, std::size_t count) {
  return _mm_maskz_loadu_epi8(first_lanes(count), codes);
}

inline Value reals_of(Block codes, std::int32_t zero) {
  const __m512i steps = _mm512_sub_epi32(_mm512_cvtepu8_epi32(codes), _mm512_set1_epi32(zero));
  return _mm512_cvtepi32_ps(steps);
}

inline Block codes_of(Value t, std::int32_t zero) {
  const __m512i codes = _mm512_add_epi32(_mm512_cvtps_epi32(t), _mm512_set1_epi32(zero));
  return _mm512_cvtepi32_epi8(codes);
}

inline void store_codes(std::uint8_t* to, Block codes, std::size_t count) {
  if (count == kWidth) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to), codes);
  } else {
    _mm_mask_storeu_epi8(to, first_lanes(count), codes);
  }
}

inline void store_rows(float* to, Value t, std::size_t count) {
  _mm512_mask_storeu_ps(to, first_lanes(count), t);
}
