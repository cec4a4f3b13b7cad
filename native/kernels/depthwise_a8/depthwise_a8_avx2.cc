// depthwise_a8 with AVX2: codes of two taps and weights, both widened to 16 bits, so that vpmaddwd
// is exact.
#include "base/isa.h"

#if LAMELLA_X86

#include <immintrin.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "kernels/depthwise_a8/depthwise_a8.h"
#include "kernels/math/shift.h"
#include "kernels/math/tree.h"

LAMELLA_TARGET_BEGIN("avx2,fma,f16c")

namespace lamella {
namespace {

#include "kernels/math/value_avx2.h"
#include "kernels/static/lanes_avx2.h"
// What follows is the same for every Value.
#include "kernels/static/epilogue_vector.h"

constexpr std::size_t kPositions = 4;

struct Weights {
  explicit Weights(const std::int8_t* pair)
      : low(_mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(pair)))),
        high(_mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(pair + 16)))) {}

  __m256i low;
  __m256i high;
};

// The compiler's own constructor would be compiled outside the region.
struct Sums {
  LAMELLA_INLINE Sums() {}

  LAMELLA_INLINE void add(const Weights& weights, __m128i a, __m128i b) {
    const __m256i first = _mm256_cvtepu8_epi16(_mm_unpacklo_epi8(a, b));
    const __m256i last = _mm256_cvtepu8_epi16(_mm_unpackhi_epi8(a, b));
    low = _mm256_add_epi32(low, _mm256_madd_epi16(first, weights.low));
    high = _mm256_add_epi32(high, _mm256_madd_epi16(last, weights.high));
  }

  LAMELLA_INLINE void store(std::int32_t* to) const {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), low);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + 8), high);
  }

  __m256i low = _mm256_setzero_si256();
  __m256i high = _mm256_setzero_si256();
};

#include "kernels/depthwise_a8/channels.inc"

}  // namespace

void depthwise_w8a8_avx2(const DepthwiseCall& call, Slice positions) { run(call, positions); }

}  // namespace lamella

LAMELLA_TARGET_END

#endif  // LAMELLA_X86
