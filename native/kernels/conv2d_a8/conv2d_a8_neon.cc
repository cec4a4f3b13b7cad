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
constexpr std::size_t kVectors = 1;
constexpr int kLowered = 128;
using neon::load_weights;
using neon::step_weights;
using neon::store_weights;
using Weights = neon::Halves<int8x16_t>;

// The steps whose products are added in 16 bits.
template <int kBits>
constexpr std::size_t kRun = kBits == 4   ? 8
                             : kBits == 6 ? 4
                                          : 1;
static_assert(8 * 128 * 8 <= 32767, "8 steps of 4 bits must fit 16 bits");
static_assert(4 * 128 * 32 <= 32767, "4 steps of 6 bits must fit 16 bits");
static_assert(128 * 128 <= 32767, "a step of 8 bits must fit 16 bits");

// Register r has products of the rows 2 * r and 2 * r + 1.
struct Narrow {
  LAMELLA_INLINE void add(std::int32_t four, const Weights& weights) {
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
  LAMELLA_INLINE void add(const Narrow& narrow) {
    rows[0] = vpadalq_s16(rows[0], narrow.rows[0]);
    rows[1] = vpadalq_s16(rows[1], narrow.rows[1]);
    rows[2] = vpadalq_s16(rows[2], narrow.rows[2]);
    rows[3] = vpadalq_s16(rows[3], narrow.rows[3]);
  }

  LAMELLA_INLINE void write(bool more, std::int32_t* to) const {
    const int32x4_t low = vpaddq_s32(rows[0], rows[1]), high = vpaddq_s32(rows[2], rows[3]);
    vst1q_s32(to, more ? vaddq_s32(low, vld1q_s32(to)) : low);
    vst1q_s32(to + 4, more ? vaddq_s32(high, vld1q_s32(to + 4)) : high);
  }

  int32x4_t rows[4] = {vdupq_n_s32(0), vdupq_n_s32(0), vdupq_n_s32(0), vdupq_n_s32(0)};
};

#include "kernels/conv2d_a8/tiles.inc"

template <int kBits, std::size_t... kAt>
struct Sums<kBits, 1, std::index_sequence<kAt...>> {
  LAMELLA_INLINE Sums(bool add_to_sums, std::int32_t* to) : more(add_to_sums), sums(to) {}

  LAMELLA_INLINE void add(const std::uint8_t* panel, const std::uint8_t* const* from,
                          std::size_t steps) {
    for (std::size_t step = 0; step < steps;) {
      const std::size_t end = std::min(step + kRun<kBits>, steps);
      Narrow narrow[sizeof...(kAt)];
      for (; step < end; ++step, panel += kStepBytes) {
        const Weights weights = load_weights(panel);
        (narrow[kAt].add(four_codes(from[kAt] + 4 * step), weights), ...);
      }
      (wide[kAt].add(narrow[kAt]), ...);
    }
  }

  // The products of the only position.
  LAMELLA_INLINE void add_step(const std::uint8_t* codes, const Weights& weights) {
    Narrow narrow;
    narrow.add(four_codes(codes), weights);
    wide[0].add(narrow);
  }

  LAMELLA_INLINE void write() const { (wide[kAt].write(more, sums + kPairRows * kAt), ...); }

  bool more;
  std::int32_t* sums;
  Wide wide[sizeof...(kAt)];
};

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
