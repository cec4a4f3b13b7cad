// peak with AVX-VNNI: codes of 4 and of 8 bits take the same instruction.
#include "base/isa.h"

#if LAMELLA_X86

#include <immintrin.h>

#include <type_traits>
#include <utility>

#include "kernels/peak/peak.h"

LAMELLA_TARGET_BEGIN("avx2,avxvnni")

namespace lamella {
namespace {

#include "kernels/peak/loop.inc"
#include "kernels/peak/ymm.h"

struct Dots : Codes {
  static constexpr std::size_t kProducts = 32, kSums = 12;

  LAMELLA_INLINE static __m256i add(__m256i sum, __m256i& weight, __m256i input) {
    return _mm256_dpbusd_avx_epi32(sum, weight, input);
  }
};

}  // namespace

std::uint32_t peak_w4a8_avxvnni(std::size_t rounds, PeakOperands operands) {
  return run<Dots>(rounds, operands);
}
std::uint32_t peak_w8a8_avxvnni(std::size_t rounds, PeakOperands operands) {
  return run<Dots>(rounds, operands);
}

}  // namespace lamella

LAMELLA_TARGET_END

#endif  // LAMELLA_X86
