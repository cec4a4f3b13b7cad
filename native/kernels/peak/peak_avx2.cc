// peak with AVX2. vpmaddubsw saturates at 16 bits: products of 8-bit codes go to 32 bits two by
// two, those of 4 bits after eight steps.
#include "base/isa.h"

#if LAMELLA_X86

#include <immintrin.h>

#include <type_traits>
#include <utility>

#include "kernels/peak/peak.h"

LAMELLA_TARGET_BEGIN("avx2,fma")

namespace lamella {
namespace {

#include "kernels/peak/loop.inc"
#include "kernels/peak/ymm.h"

// Products of kSteps steps are added in 16 bits.
template <std::size_t kSteps>
struct Bytes : Codes {
  static constexpr std::size_t kProducts = 32 * kSteps, kSums = kSteps == 1 ? 6 : 3;

  LAMELLA_INLINE static __m256i add(__m256i sum, __m256i& weight, __m256i input) {
    hide(weight);
    __m256i narrow = _mm256_maddubs_epi16(weight, input);
    for (std::size_t step = 1; step < kSteps; ++step) {
      hide(weight);
      narrow = _mm256_add_epi16(narrow, _mm256_maddubs_epi16(weight, input));
    }
    return _mm256_add_epi32(sum, _mm256_madd_epi16(narrow, _mm256_set1_epi16(1)));
  }
};

struct Floats {
  using Operand = __m256;
  using Sum = __m256;
  static constexpr std::size_t kProducts = 8, kSums = 12;

  LAMELLA_INLINE static __m256 all(int number) {
    return _mm256_set1_ps(static_cast<float>(number));
  }
  LAMELLA_INLINE static __m256 zero() { return _mm256_setzero_ps(); }
  LAMELLA_INLINE static __m256 add(__m256 sum, __m256& weight, __m256 input) {
    return _mm256_fmadd_ps(weight, input, sum);
  }

  LAMELLA_INLINE static std::uint32_t total(__m256 sum) {
    return Codes::total(_mm256_cvtps_epi32(sum));
  }
};

}  // namespace

std::uint32_t peak_w4a8_avx2(std::size_t rounds, PeakOperands operands) {
  return run<Bytes<8>>(rounds, operands);
}
std::uint32_t peak_w8a8_avx2(std::size_t rounds, PeakOperands operands) {
  return run<Bytes<1>>(rounds, operands);
}
std::uint32_t peak_f32_avx2(std::size_t rounds, PeakOperands operands) {
  return run<Floats>(rounds, operands);
}

}  // namespace lamella

LAMELLA_TARGET_END

#endif  // LAMELLA_X86
