// linear_a8 with the int8 matrix products of ARMv8.6: smmla adds the products of 2 rows and 2
// tokens over 8 columns, twice the work of sdot. A single token would waste half of it and takes
// sdot.
#include "kernels/linear_a8/neon.h"

#if LAMELLA_ARM

LAMELLA_TARGET_BEGIN("arch=armv8.2-a+dotprod+i8mm")

namespace lamella {
namespace {

constexpr std::size_t kTokens = 4;
constexpr std::size_t kStrips = 1;
constexpr bool kPaired = true;
constexpr bool kSparse = false;
using neon::store;
using neon::Sums;

// From two steps of four rows to two pairs of rows, 8 columns each.
LAMELLA_INLINE void pair_rows(const int8x16_t* steps, int8x16_t* pairs) {
  const int32x4_t first = vreinterpretq_s32_s8(steps[0]);
  const int32x4_t second = vreinterpretq_s32_s8(steps[1]);
  pairs[0] = vreinterpretq_s8_s32(vzip1q_s32(first, second));
  pairs[1] = vreinterpretq_s8_s32(vzip2q_s32(first, second));
}

template <int kBits, std::size_t kParts>
struct Tile {
  static constexpr std::size_t kChunks = 4;  // of 8 columns, two steps

  LAMELLA_INLINE Tile(const LinearWeight& weight, Strips strips, std::size_t block)
      : tile(weight, strips.first, block) {
    for (std::size_t chunk = 0; chunk < kChunks; ++chunk) {
      pair_rows(tile.codes.low + 2 * chunk, rows[chunk]);
      pair_rows(tile.codes.high + 2 * chunk, rows[chunk] + 2);
    }
  }

  // Takes the last of an odd number of tokens twice.
  template <std::size_t kCount>
  LAMELLA_INLINE void add_pairs(const TokenBlock (&tokens)[kCount], Sums (&sums)[kCount]) const {
    for (std::size_t i = 0; i + 1 < kCount; i += 2) {
      add_pair(tokens[i], tokens[i + 1], sums[i], sums[i + 1]);
    }
    if constexpr (kCount % 2 != 0) {
      Sums spare;
      add_pair(tokens[kCount - 1], tokens[kCount - 1], sums[kCount - 1], spare);
    }
  }

  LAMELLA_INLINE void add_pair(const TokenBlock& a, const TokenBlock& b, Sums& of_a,
                               Sums& of_b) const {
    add_part<0>(a, b, of_a, of_b);
    if constexpr (kParts == 2) add_part<1>(a, b, of_a, of_b);
  }

  template <std::size_t kPart>
  LAMELLA_INLINE void add_part(const TokenBlock& a, const TokenBlock& b, Sums& of_a,
                               Sums& of_b) const {
    constexpr std::size_t kCount = kChunks / kParts, kFirst = kPart * kCount;
    // Lanes: row 0 of a and of b, row 1 of a and of b.
    int32x4_t dot[4] = {vdupq_n_s32(0), vdupq_n_s32(0), vdupq_n_s32(0), vdupq_n_s32(0)};
    for (std::size_t chunk = kFirst; chunk < kFirst + kCount; ++chunk) {
      const int8x16_t input =
          vcombine_s8(vld1_s8(a.codes + 8 * chunk), vld1_s8(b.codes + 8 * chunk));
      for (std::size_t pair = 0; pair < 4; ++pair) {
        dot[pair] = vmmlaq_s32(dot[pair], rows[chunk][pair], input);
      }
    }
    of_a = add_token<kPart>(vuzp1q_s32(dot[0], dot[1]), vuzp1q_s32(dot[2], dot[3]), a, of_a);
    of_b = add_token<kPart>(vuzp2q_s32(dot[0], dot[1]), vuzp2q_s32(dot[2], dot[3]), b, of_b);
  }

  template <std::size_t kPart>
  LAMELLA_INLINE Sums add_token(int32x4_t low, int32x4_t high, const TokenBlock& token,
                                const Sums& sums) const {
    const neon::Halves<int32x4_t> offset = tile.template offset<kPart>(token);
    return tile.template add<kPart>({vaddq_s32(low, offset.low), vaddq_s32(high, offset.high)},
                                    token, sums);
  }

  neon::Tile<kBits, kParts> tile;
  int8x16_t rows[kChunks][4];
};

#include "kernels/linear_a8/strips.inc"

template <int kBits>
void run_or(LinearFn single, const LinearCall& call, Slice strips) {
  if (call.input.tokens == 1) return single(call, strips);
  run<kBits>(call, strips);
}

}  // namespace

void linear_w2a8_i8mm(const LinearCall& call, Slice strips) {
  run_or<2>(&linear_w2a8_dotprod, call, strips);
}
void linear_w3a8_i8mm(const LinearCall& call, Slice strips) {
  run_or<3>(&linear_w3a8_dotprod, call, strips);
}
void linear_w4a8_i8mm(const LinearCall& call, Slice strips) {
  run_or<4>(&linear_w4a8_dotprod, call, strips);
}
void linear_w5a8_i8mm(const LinearCall& call, Slice strips) {
  run_or<5>(&linear_w5a8_dotprod, call, strips);
}
void linear_w6a8_i8mm(const LinearCall& call, Slice strips) {
  run_or<6>(&linear_w6a8_dotprod, call, strips);
}
void linear_w8a8_i8mm(const LinearCall& call, Slice strips) {
  run_or<8>(&linear_w8a8_dotprod, call, strips);
}

}  // namespace lamella

LAMELLA_TARGET_END

#endif  // LAMELLA_ARM
