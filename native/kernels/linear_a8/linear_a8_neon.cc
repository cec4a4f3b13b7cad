// linear_a8 with NEON: products of bytes are added in 16 bits, one for each row, column of a step
// and step, as many steps as fit exactly.
#include "kernels/linear_a8/neon.h"

#if LAMELLA_ARM

namespace lamella {
namespace {

constexpr std::size_t kTokens = 4;
constexpr std::size_t kStrips = 1;
using neon::store;
using neon::Sums;

template <int kBits>
struct Tile {
  static constexpr int kMost = kBits == 8 ? 128 : (1 << kBits) - 1;  // magnitude of a code
  static constexpr std::size_t kRun = kBits <= 5 ? 8 : kBits == 6 ? 4 : 2;
  static_assert(kRun * kMost * 127 <= 32767, "the products must fit 16 bits");

  LAMELLA_INLINE Tile(const LinearWeight& weight, Strips strips, std::size_t block)
      : tile(weight, strips.first, block) {}

  LAMELLA_INLINE Sums add(const TokenBlock& token, const Sums& sums) const {
    const neon::Halves<int32x4_t> offset = tile.offset(token);
    return tile.add({dot<0>(tile.codes.low, token.codes, offset.low),
                     dot<0>(tile.codes.high, token.codes, offset.high)},
                    token, sums);
  }

  template <std::size_t kFirst>
  LAMELLA_INLINE static int32x4_t dot(const int8x16_t* codes, const std::int8_t* input,
                                      int32x4_t sum) {
    if constexpr (kFirst == kSteps) {
      return sum;
    } else {
      const auto steps = std::make_index_sequence<kRun>();
      const int32x4_t more = vaddq_s32(sum, dot_run(codes + kFirst, input + 4 * kFirst, steps));
      return dot<kFirst + kRun>(codes, input, more);
    }
  }

  // The dot products of kRun steps.
  template <std::size_t... kStep>
  LAMELLA_INLINE static int32x4_t dot_run(const int8x16_t* codes, const std::int8_t* input,
                                          std::index_sequence<kStep...>) {
    int16x8_t first = vdupq_n_s16(0), second = vdupq_n_s16(0);
    ((first = vmlal_s8(first, vget_low_s8(codes[kStep]), twice(input, kStep)),
      second = vmlal_s8(second, vget_high_s8(codes[kStep]), twice(input, kStep))),
     ...);
    return vpaddq_s32(vpaddlq_s16(first), vpaddlq_s16(second));
  }

  // The input of one step, for two rows.
  LAMELLA_INLINE static int8x8_t twice(const std::int8_t* input, std::size_t step) {
    return vreinterpret_s8_s32(vdup_n_s32(step_input(input, step)));
  }

  neon::Tile<kBits> tile;
};

#include "kernels/linear_a8/strips.inc"

}  // namespace

void linear_w2a8_neon(const LinearCall& call, Slice strips) { run<2>(call, strips); }
void linear_w3a8_neon(const LinearCall& call, Slice strips) { run<3>(call, strips); }
void linear_w4a8_neon(const LinearCall& call, Slice strips) { run<4>(call, strips); }
void linear_w5a8_neon(const LinearCall& call, Slice strips) { run<5>(call, strips); }
void linear_w6a8_neon(const LinearCall& call, Slice strips) { run<6>(call, strips); }
void linear_w8a8_neon(const LinearCall& call, Slice strips) { run<8>(call, strips); }

}  // namespace lamella

#endif  // LAMELLA_ARM
