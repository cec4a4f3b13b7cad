// conv2d_a8 with AVX2, which has no exact product of bytes: vpmaddubsw saturates at 16 bits. Each
// pair of products of input codes and weights of 4 bits is below 2 * 255 * 8, so that 8 fit; of 6
// bits 2 fit, and weights of 8 bits are taken as 16 * high + low, of which 4 fit.
#include "base/isa.h"

#if LAMELLA_X86

#include <immintrin.h>

#include <cstring>

#include "kernels/conv2d_a8/tiles.h"
#include "kernels/linear_a8/ymm.h"
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
constexpr std::size_t kStrips = 1;
constexpr std::size_t kMostVectors = 1;
constexpr int kLowered = 0;

// The steps whose products are added in 16 bits.
template <int kBits>
constexpr std::size_t kRun = kBits == 4   ? 8
                             : kBits == 6 ? 2
                                          : 4;
static_assert(2 * 8 * 255 * 8 <= 32767, "8 steps of 4 bits must fit 16 bits");
static_assert(2 * 2 * 255 * 32 <= 32767, "2 steps of 6 bits must fit 16 bits");
static_assert(2 * 4 * 255 * 15 <= 32767, "4 steps of the low half of 8 bits must fit 16 bits");

// The weights of one step as signed bytes: `high` is used for 8 bits only, where low is 0 to 15.
struct Weights {
  __m256i low;
  __m256i high;
};

template <int kBits, std::size_t kStep>
LAMELLA_INLINE Weights step_weights(Tiles tiles) {
  const __m256i codes = ymm::step_codes<kBits, kStep>(tiles.first);
  if constexpr (kBits != 8) {
    const __m256i low = _mm256_sub_epi8(codes, _mm256_set1_epi8(1 << (kBits - 1)));
    return {low, low};
  } else {
    const __m256i mask = _mm256_set1_epi8(15);
    const __m256i high = _mm256_and_si256(_mm256_srli_epi16(codes, 4), mask);
    return {_mm256_and_si256(codes, mask), _mm256_sub_epi8(high, _mm256_set1_epi8(8))};
  }
}

// The compiler's own constructors would be compiled outside the region.
template <int kBits>
struct Narrow {
  LAMELLA_INLINE Narrow() {}

  LAMELLA_INLINE void add(std::int32_t four, const Weights& weights) {
    const __m256i input = _mm256_set1_epi32(four);
    low = _mm256_add_epi16(low, _mm256_maddubs_epi16(input, weights.low));
    if constexpr (kBits == 8) {
      high = _mm256_add_epi16(high, _mm256_maddubs_epi16(input, weights.high));
    }
  }

  __m256i low = _mm256_setzero_si256();
  __m256i high = _mm256_setzero_si256();
};

struct Wide {
  LAMELLA_INLINE Wide() {}

  template <int kBits>
  LAMELLA_INLINE void add(const Narrow<kBits>& narrow) {
    sums = _mm256_add_epi32(sums, _mm256_madd_epi16(narrow.low, _mm256_set1_epi16(1)));
    if constexpr (kBits == 8) {
      sums = _mm256_add_epi32(sums, _mm256_madd_epi16(narrow.high, _mm256_set1_epi16(16)));
    }
  }

  LAMELLA_INLINE void store(std::int32_t* to) const {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), sums);
  }

  __m256i sums = _mm256_setzero_si256();
};

#include "kernels/conv2d_a8/narrow_steps.inc"
#include "kernels/conv2d_a8/tiles.inc"

}  // namespace

void conv2d_w4a8_avx2(const Conv2dCall& call, Slice positions, Slice strips) {
  run<4>(call, positions, strips);
}
void conv2d_w6a8_avx2(const Conv2dCall& call, Slice positions, Slice strips) {
  run<6>(call, positions, strips);
}
void conv2d_w8a8_avx2(const Conv2dCall& call, Slice positions, Slice strips) {
  run<8>(call, positions, strips);
}

}  // namespace lamella

LAMELLA_TARGET_END

#endif  // LAMELLA_X86
