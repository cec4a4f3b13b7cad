// A fragment: how the epilogue reads sums and writes rows, in AVX2 registers.
// Included after <cstring> and kernels/math/value_avx2.h.
#include "kernels/static/codes_avx2.h"

inline __m256i load_eight(const std::int32_t* from) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
}

// What the sums of 16 rows lack.
struct Offsets {
  __m256i low;
  __m256i high;
};

template <int kLowered>
inline Offsets offsets_of(const Epilogue& epilogue, std::size_t row) {
  static_assert(kLowered == 0, "these processors multiply codes as they are");
  return {load_eight(epilogue.offset + row), load_eight(epilogue.offset + row + 8)};
}

inline Value exact_sums(const Offsets& offsets, const std::int32_t* sums) {
  return {_mm256_cvtepi32_ps(_mm256_add_epi32(load_eight(sums), offsets.low)),
          _mm256_cvtepi32_ps(_mm256_add_epi32(load_eight(sums + 8), offsets.high))};
}

inline void store_rows(float* to, Value t, std::size_t count) {
  if (count == kWidth) {
    _mm256_storeu_ps(to, t.low);
    _mm256_storeu_ps(to + 8, t.high);
  } else {
    store_first(to, t, count);
  }
}
