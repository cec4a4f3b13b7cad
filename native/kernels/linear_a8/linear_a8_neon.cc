// linear_a8 with NEON: products of bytes are added in 16 bits, one for each row, column of a step
// and step, as many steps as fit exactly.
#include "kernels/linear_a8/neon.h"

#if LAMELLA_ARM

namespace lamella {
namespace {

constexpr std::size_t kTokens = 4;
constexpr std::size_t kStrips = 1;
constexpr bool kPaired = false;
using neon::store;
using neon::Sums;

template <int kBits, std::size_t kParts>
struct Tile {
  static constexpr int kMost = kBits == 8 ? 128 : (1 << kBits) - 1;  // magnitude of a code
  static constexpr std::size_t kMostSteps = kBits <= 5 ? 8 : kBits == 6 ? 4 : 2;
  static constexpr std::size_t kRun = std::min(kMostSteps, kSteps / kParts);
  static_assert(kRun * kMost * 127 <= 32767, "the products must fit 16 bits");

  LAMELLA_INLINE Tile(const LinearWeight& weight, Strips strips, std::size_t block)
      : tile(weight, strips.first, block) {}

  LAMELLA_INLINE Sums add(const TokenBlock& token, const Sums& sums) const {
    Sums more = add_part<0>(token, sums);
    if constexpr (kParts == 2) more = add_part<1>(token, more);
    return more;
  }

  template <std::size_t kPart>
  LAMELLA_INLINE Sums add_part(const TokenBlock& token, const Sums& sums) const {
    constexpr std::size_t kFirst = kPart * kSteps / kParts;
    const neon::Halves<int32x4_t> offset = tile.template offset<kPart>(token);
    return tile.template add<kPart>({dot<kFirst>(tile.codes.low, token.codes, offset.low),
                                     dot<kFirst>(tile.codes.high, token.codes, offset.high)},
                                    token, sums);
  }

  // Adds the steps of one part, from kStep on.
  template <std::size_t kStep>
  LAMELLA_INLINE static int32x4_t dot(const int8x16_t* codes, const std::int8_t* input,
                                      int32x4_t sum) {
    const auto steps = std::make_index_sequence<kRun>();
    const int32x4_t more = vaddq_s32(sum, dot_run(codes + kStep, input + 4 * kStep, steps));
    constexpr std::size_t kNext = kStep + kRun;
    if constexpr (kNext % (kSteps / kParts) == 0) {
      return more;
    } else {
      return dot<kNext>(codes, input, more);
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

  neon::Tile<kBits, kParts> tile;
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
