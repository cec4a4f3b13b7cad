// transpose with AVX2, of which it takes registers of 16 bytes and three operands.
#include "kernels/transpose/transpose.h"

#if LAMELLA_X86

#include <immintrin.h>

#include <algorithm>
#include <cstring>

LAMELLA_TARGET_BEGIN("avx2")

namespace lamella {
namespace {

using Vector = __m128i;

LAMELLA_INLINE Vector load_vector(const std::uint8_t* from) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
}

LAMELLA_INLINE void store_vector(std::uint8_t* to, Vector vector) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to), vector);
}

template <std::size_t kBytes>
LAMELLA_INLINE Vector zip_low(Vector a, Vector b) {
  if constexpr (kBytes == 1) return _mm_unpacklo_epi8(a, b);
  if constexpr (kBytes == 2) return _mm_unpacklo_epi16(a, b);
  return _mm_unpacklo_epi32(a, b);
}

template <std::size_t kBytes>
LAMELLA_INLINE Vector zip_high(Vector a, Vector b) {
  if constexpr (kBytes == 1) return _mm_unpackhi_epi8(a, b);
  if constexpr (kBytes == 2) return _mm_unpackhi_epi16(a, b);
  return _mm_unpackhi_epi32(a, b);
}

#include "kernels/transpose/elements.h"
#include "kernels/transpose/squares.h"
// What follows is the same for every instruction set.
#include "kernels/transpose/planes.h"

}  // namespace

void transpose_avx2(const TransposeCall& call, Slice units) { run(call, units); }

}  // namespace lamella

LAMELLA_TARGET_END

#endif  // LAMELLA_X86
