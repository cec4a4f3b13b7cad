// conv2d_a8 with the dot products of ARMv8.2: sdot adds four products of signed bytes to 32 bits.
#include "base/isa.h"

#if LAMELLA_ARM

#include <arm_neon.h>

#include <cstring>

#include "kernels/conv2d_a8/neon.h"
#include "kernels/math/shift.h"
#include "kernels/math/tree.h"

LAMELLA_TARGET_BEGIN("arch=armv8.2-a+dotprod")

namespace lamella {
namespace {

#include "kernels/math/value_neon.h"
#include "kernels/static/lanes_neon.h"
// What follows is the same for every Value.
#include "kernels/static/epilogue_vector.h"

constexpr std::size_t kPositions = 8;
constexpr std::size_t kStrips = 1;
constexpr std::size_t kVectors = 1;
constexpr int kLowered = 128;
using neon::load_weights;
using neon::step_weights;
using neon::store_weights;
using Weights = neon::Halves<int8x16_t>;

struct Dots {
  int32x4_t low = vdupq_n_s32(0);
  int32x4_t high = vdupq_n_s32(0);
};

LAMELLA_INLINE Dots dot(Dots sums, std::int32_t four, const Weights& weights) {
  const int8x16_t input = vreinterpretq_s8_s32(vdupq_n_s32(neon::lowered(four)));
  return {vdotq_s32(sums.low, weights.low, input), vdotq_s32(sums.high, weights.high, input)};
}

LAMELLA_INLINE Dots load_dots(const std::int32_t* from) {
  return {vld1q_s32(from), vld1q_s32(from + 4)};
}

LAMELLA_INLINE void store_dots(Dots sums, std::int32_t* to) {
  vst1q_s32(to, sums.low);
  vst1q_s32(to + 4, sums.high);
}

#include "kernels/conv2d_a8/tiles.inc"
// What follows needs the loops.
#include "kernels/conv2d_a8/dot_steps.inc"

}  // namespace

void conv2d_w4a8_dotprod(const Conv2dCall& call, Slice positions, Slice strips) {
  run<4>(call, positions, strips);
}
void conv2d_w6a8_dotprod(const Conv2dCall& call, Slice positions, Slice strips) {
  run<6>(call, positions, strips);
}
void conv2d_w8a8_dotprod(const Conv2dCall& call, Slice positions, Slice strips) {
  run<8>(call, positions, strips);
}

}  // namespace lamella

LAMELLA_TARGET_END

#endif  // LAMELLA_ARM
