// peak with the dot products of ARMv8.2: codes of 4 and of 8 bits take the same instruction.
#include "base/isa.h"

#if LAMELLA_ARM

#include <arm_neon.h>

#include <type_traits>
#include <utility>

#include "kernels/peak/peak.h"

LAMELLA_TARGET_BEGIN("arch=armv8.2-a+dotprod")

namespace lamella {
namespace {

#include "kernels/peak/loop.inc"
#include "kernels/peak/neon.h"

struct Dots : Codes {
  static constexpr std::size_t kProducts = 16, kSums = 12;

  LAMELLA_INLINE static int32x4_t add(int32x4_t sum, int8x16_t& weight, int8x16_t input) {
    return vdotq_s32(sum, weight, input);
  }
};

}  // namespace

std::uint32_t peak_w4a8_dotprod(std::size_t rounds, PeakOperands operands) {
  return run<Dots>(rounds, operands);
}
std::uint32_t peak_w8a8_dotprod(std::size_t rounds, PeakOperands operands) {
  return run<Dots>(rounds, operands);
}

}  // namespace lamella

LAMELLA_TARGET_END

#endif  // LAMELLA_ARM
