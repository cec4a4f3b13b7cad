// linear_a8 with the dot products of ARMv8.2: sdot adds four products of signed bytes to 32 bits.
#include "kernels/linear_a8/neon.h"

#if LAMELLA_ARM

LAMELLA_TARGET_BEGIN("arch=armv8.2-a+dotprod")

namespace lamella {
namespace {

constexpr std::size_t kTokens = 4;
constexpr std::size_t kStrips = 1;
constexpr bool kPaired = false;
constexpr bool kSparse = false;
using neon::store;
using neon::Sums;

template <int kBits, std::size_t kParts>
struct Tile {
  LAMELLA_INLINE Tile(const LinearWeight& weight, Strips strips, std::size_t block)
      : tile(weight, strips.first, block) {}

  LAMELLA_INLINE Sums add(const TokenBlock& token, const Sums& sums) const {
    Sums more = add_part<0>(token, sums);
    if constexpr (kParts == 2) more = add_part<1>(token, more);
    return more;
  }

  template <std::size_t kPart>
  LAMELLA_INLINE Sums add_part(const TokenBlock& token, const Sums& sums) const {
    constexpr std::size_t kCount = kSteps / kParts, kFirst = kPart * kCount;
    const auto steps = std::make_index_sequence<kCount>();
    const int8x16_t input[] = {vld1q_s8(token.codes), vld1q_s8(token.codes + 16)};
    const neon::Halves<int32x4_t> offset = tile.template offset<kPart>(token);
    return tile.template add<kPart>(
        {dot(tile.codes.low + kFirst, input + kPart, offset.low, steps),
         dot(tile.codes.high + kFirst, input + kPart, offset.high, steps)},
        token, sums);
  }

  // A register of input has four steps.
  template <std::size_t... kStep>
  LAMELLA_INLINE static int32x4_t dot(const int8x16_t* codes, const int8x16_t* input, int32x4_t sum,
                                      std::index_sequence<kStep...>) {
    ((sum = vdotq_laneq_s32(sum, codes[kStep], input[kStep / 4], kStep % 4)), ...);
    return sum;
  }

  neon::Tile<kBits, kParts> tile;
};

#include "kernels/linear_a8/strips.inc"

}  // namespace

void linear_w2a8_dotprod(const LinearCall& call, Slice strips) { run<2>(call, strips); }
void linear_w3a8_dotprod(const LinearCall& call, Slice strips) { run<3>(call, strips); }
void linear_w4a8_dotprod(const LinearCall& call, Slice strips) { run<4>(call, strips); }
void linear_w5a8_dotprod(const LinearCall& call, Slice strips) { run<5>(call, strips); }
void linear_w6a8_dotprod(const LinearCall& call, Slice strips) { run<6>(call, strips); }
void linear_w8a8_dotprod(const LinearCall& call, Slice strips) { run<8>(call, strips); }

}  // namespace lamella

LAMELLA_TARGET_END

#endif  // LAMELLA_ARM
