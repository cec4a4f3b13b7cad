// peak with NEON. Products are added in 16 bits: of 8-bit codes two, of 4-bit codes eight.
#include "base/isa.h"

#if LAMELLA_ARM

#include <arm_neon.h>

#include <type_traits>
#include <utility>

#include "kernels/peak/peak.h"

namespace lamella {
namespace {

#include "kernels/peak/loop.inc"
#include "kernels/peak/neon.h"

template <std::size_t kSteps>
struct Bytes : Codes {
  static constexpr std::size_t kProducts = 8 * kSteps, kSums = kSteps == 2 ? 12 : 6;

  LAMELLA_INLINE static int32x4_t add(int32x4_t sum, int8x16_t& weight, int8x16_t input) {
    hide(weight);
    int16x8_t narrow = vmull_s8(vget_low_s8(weight), vget_low_s8(input));
    for (std::size_t step = 1; step < kSteps; ++step) {
      hide(weight);
      narrow = vmlal_s8(narrow, vget_low_s8(weight), vget_low_s8(input));
    }
    return vpadalq_s16(sum, narrow);
  }
};

struct Floats {
  using Operand = float32x4_t;
  using Sum = float32x4_t;
  static constexpr std::size_t kProducts = 4, kSums = 12;

  LAMELLA_INLINE static float32x4_t all(int number) {
    return vdupq_n_f32(static_cast<float>(number));
  }
  LAMELLA_INLINE static float32x4_t zero() { return vdupq_n_f32(0); }
  LAMELLA_INLINE static float32x4_t add(float32x4_t sum, float32x4_t& weight, float32x4_t input) {
    return vfmaq_f32(sum, weight, input);
  }

  LAMELLA_INLINE static std::uint32_t total(float32x4_t sum) {
    return vaddvq_u32(vcvtq_u32_f32(sum));
  }
};

}  // namespace

std::uint32_t peak_w4a8_neon(std::size_t rounds, PeakOperands operands) {
  return run<Bytes<8>>(rounds, operands);
}
std::uint32_t peak_w8a8_neon(std::size_t rounds, PeakOperands operands) {
  return run<Bytes<2>>(rounds, operands);
}
std::uint32_t peak_f32_neon(std::size_t rounds, PeakOperands operands) {
  return run<Floats>(rounds, operands);
}

}  // namespace lamella

#endif  // LAMELLA_ARM
