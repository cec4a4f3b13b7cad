// A fragment: how the epilogue reads sums and writes rows, in AVX2 registers.
// Included after <cstring> and kernels/math/value_avx2.h.
#include "kernels/static/codes_avx2.h"

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

inline void store_rows(float* to, Value t, std::size_t count) {
  if (count == kWidth) {
    _mm256_storeu_ps(to, t.low);
    _mm256_storeu_ps(to + 8, t.high);
  } else {
    store_first(to, t, count);
  }
}
