// conv2d_a8 with NEON: products of bytes are added in 16 bits, one for each row, column of a step
// and step, as many steps as fit exactly.
#include "base/isa.h"

#if LAMELLA_ARM

#include <arm_neon.h>

#include <cstring>

#include "kernels/conv2d_a8/neon.h"
#include "kernels/math/shift.h"
#include "kernels/math/tree.h"

namespace lamella {
namespace {

#include "kernels/math/value_neon.h"
#include "kernels/static/lanes_neon.h"
// What follows is the same for every Value.
#include "kernels/static/epilogue_vector.h"

constexpr std::size_t kPositions = 2;
constexpr std::size_t kStrips = 1;
constexpr std::size_t kMostVectors = 1;
constexpr int kLowered = 128;
using neon::step_weights;

// The steps whose products are added in 16 bits.
template <int kBits>
constexpr std::size_t kRun = kBits == 4   ? 8
                             : kBits == 6 ? 4
                                          : 1;
static_assert(8 * 128 * 8 <= 32767, "8 steps of 4 bits must fit 16 bits");
static_assert(4 * 128 * 32 <= 32767, "4 steps of 6 bits must fit 16 bits");
static_assert(128 * 128 <= 32767, "a step of 8 bits must fit 16 bits");

// Register r has products of the rows 2 * r and 2 * r + 1.
template <int kBits>
struct Narrow {
  LAMELLA_INLINE void add(std::int32_t four, const neon::Halves<int8x16_t>& weights) {
    const int8x8_t input = vreinterpret_s8_s32(vdup_n_s32(neon::lowered(four)));
    rows[0] = vmlal_s8(rows[0], vget_low_s8(weights.low), input);
    rows[1] = vmlal_s8(rows[1], vget_high_s8(weights.low), input);
    rows[2] = vmlal_s8(rows[2], vget_low_s8(weights.high), input);
    rows[3] = vmlal_s8(rows[3], vget_high_s8(weights.high), input);
  }

  int16x8_t rows[4] = {vdupq_n_s16(0), vdupq_n_s16(0), vdupq_n_s16(0), vdupq_n_s16(0)};
};

// The same in 32 bits, two sums for each row.
struct Wide {
  template <int kBits>
  LAMELLA_INLINE void add(const Narrow<kBits>& narrow) {
    rows[0] = vpadalq_s16(rows[0], narrow.rows[0]);
    rows[1] = vpadalq_s16(rows[1], narrow.rows[1]);
    rows[2] = vpadalq_s16(rows[2], narrow.rows[2]);
    rows[3] = vpadalq_s16(rows[3], narrow.rows[3]);
  }

  LAMELLA_INLINE void store(std::int32_t* to) const {
    vst1q_s32(to, vpaddq_s32(rows[0], rows[1]));
    vst1q_s32(to + 4, vpaddq_s32(rows[2], rows[3]));
  }

  int32x4_t rows[4] = {vdupq_n_s32(0), vdupq_n_s32(0), vdupq_n_s32(0), vdupq_n_s32(0)};
};

#include "kernels/conv2d_a8/narrow_steps.inc"
#include "kernels/conv2d_a8/tiles.inc"

}  // namespace

void conv2d_w4a8_neon(const Conv2dCall& call, Slice positions, Slice strips) {
  run<4>(call, positions, strips);
}
void conv2d_w6a8_neon(const Conv2dCall& call, Slice positions, Slice strips) {
  run<6>(call, positions, strips);
}
void conv2d_w8a8_neon(const Conv2dCall& call, Slice positions, Slice strips) {
  run<8>(call, positions, strips);
}

}  // namespace lamella

#endif  // LAMELLA_ARM
