// depthwise_a8 with NEON: codes and weights are widened to 16 bits and multiplied to 32.
#include "base/isa.h"

#if LAMELLA_ARM

#include <arm_neon.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "kernels/depthwise_a8/depthwise_a8.h"
#include "kernels/math/shift.h"
#include "kernels/math/tree.h"

namespace lamella {
namespace {

#include "kernels/math/value_neon.h"
#include "kernels/static/lanes_neon.h"
// What follows is the same for every Value.
#include "kernels/static/epilogue_vector.h"

constexpr std::size_t kPositions = 4;

// The weights of one tap.
struct Tap {
  explicit Tap(int8x16_t weights)
      : low(vmovl_s8(vget_low_s8(weights))), high(vmovl_s8(vget_high_s8(weights))) {}

  int16x8_t low;
  int16x8_t high;
};

struct Weights {
  explicit Weights(const std::int8_t* pair) : Weights(vld2q_s8(pair)) {}
  explicit Weights(int8x16x2_t taps) : a(taps.val[0]), b(taps.val[1]) {}

  Tap a;
  Tap b;
};

struct Sums {
  LAMELLA_INLINE void add(const Weights& weights, uint8x16_t a, uint8x16_t b) {
    add(weights.a, a);
    add(weights.b, b);
  }

  LAMELLA_INLINE void add(const Tap& tap, uint8x16_t codes) {
    const int16x8_t low = vreinterpretq_s16_u16(vmovl_u8(vget_low_u8(codes)));
    const int16x8_t high = vreinterpretq_s16_u16(vmovl_u8(vget_high_u8(codes)));
    sums[0] = vmlal_s16(sums[0], vget_low_s16(low), vget_low_s16(tap.low));
    sums[1] = vmlal_high_s16(sums[1], low, tap.low);
    sums[2] = vmlal_s16(sums[2], vget_low_s16(high), vget_low_s16(tap.high));
    sums[3] = vmlal_high_s16(sums[3], high, tap.high);
  }

  LAMELLA_INLINE void store(std::int32_t* to) const {
    for (std::size_t i = 0; i < 4; ++i) vst1q_s32(to + 4 * i, sums[i]);
  }

  int32x4_t sums[4] = {vdupq_n_s32(0), vdupq_n_s32(0), vdupq_n_s32(0), vdupq_n_s32(0)};
};

#include "kernels/depthwise_a8/channels.inc"

}  // namespace

void depthwise_w8a8_neon(const DepthwiseCall& call, Slice positions) { run(call, positions); }

}  // namespace lamella

#endif  // LAMELLA_ARM
