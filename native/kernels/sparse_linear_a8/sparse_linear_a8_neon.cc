// sparse_linear_a8 with NEON: a table says where each 8 places find their codes.
#include "kernels/sparse_linear_a8/sparse_linear_a8.h"

#if LAMELLA_ARM

#include <arm_neon.h>

#include <utility>

#include "kernels/linear_a8/neon.h"
#include "kernels/sparse_linear_a8/spread.h"

namespace lamella {
namespace {

constexpr std::size_t kTokens = 4;
constexpr std::size_t kStrips = 1;
constexpr bool kPaired = false;
constexpr bool kSparse = true;
using neon::store;
using neon::Sums;

// 8 places; moves `kept` behind their codes. `zero` has those of two rows.
LAMELLA_INLINE uint8x8_t spread(const std::uint8_t*& kept, std::uint64_t mask, uint8x8_t zero) {
  const uint8x8_t places = vld1_u8(kSpread.places[mask & 255]);
  const uint8x8_t codes = vld1_u8(kept);
  kept += __builtin_popcountll(mask & 255);
  return vbsl_u8(vceq_u8(places, vdup_n_u8(255)), zero, vtbl1_u8(codes, places));
}

// The 16 places of four rows and a step.
template <int kBits>
LAMELLA_INLINE int8x16_t four_rows(const std::uint8_t*& kept, std::uint64_t mask,
                                   const uint8x8_t* zero) {
  const uint8x8_t first = spread(kept, mask, zero[0]);
  const uint8x16_t codes = vcombine_u8(first, spread(kept, mask >> 8, zero[1]));
  // neon.h takes codes of 8 bits 128 lower.
  return vreinterpretq_s8_u8(kBits == 8 ? veorq_u8(codes, vdupq_n_u8(128)) : codes);
}

// 32 codes of 4 bits, a byte each.
LAMELLA_INLINE void widen(const std::uint8_t* packed, std::uint8_t* wide) {
  const uint8x16_t bytes = vld1q_u8(packed);
  vst2q_u8(wide, {{vandq_u8(bytes, vdupq_n_u8(15)), vshrq_n_u8(bytes, 4)}});
}

template <int kBits, std::size_t kParts>
struct Tile {
  LAMELLA_INLINE Tile(const LinearWeight& weight, Strips strips, std::size_t block)
      : tile(weight, weight.grid(strips.first, block)) {
    const std::size_t grid = weight.grid(strips.first, block);
    uint8x8_t zero[kParts][4];
    for (std::size_t part = 0; part < kParts; ++part) {
      spread_zero(weight, grid + part * kStripRows, zero[part]);
    }
    const std::size_t number = strips.first * blocks_of(weight.cols) + block;
    const std::uint8_t* kept = weight.kept_codes(strips.first, block);
    for (std::size_t pair = 0; pair < kPairs; ++pair) {
      const std::uint64_t mask = weight.masks[number * kPairs + pair];
      unpack(kept, mask, zero[pair * kParts / kPairs], 2 * pair);
      kept += kept_bytes(kBits, mask);
    }
  }

  // The zero points of two rows in each of four vectors, once for each column of a step.
  LAMELLA_INLINE static void spread_zero(const LinearWeight& weight, std::size_t grid,
                                         uint8x8_t* zero) {
    const uint8x8_t middle = vdup_n_u8(1 << (kBits - 1));
    const uint8x8_t rows = weight.zero == nullptr ? middle : vld1_u8(weight.zero + grid);
    for (unsigned i = 0; i < 4; ++i) {
      const std::uint64_t places = 0x0101010100000000u + 0x0202020202020202u * i;
      zero[i] = vtbl1_u8(rows, vcreate_u8(places));
    }
  }

  LAMELLA_INLINE void unpack(const std::uint8_t* kept, std::uint64_t mask, const uint8x8_t* zero,
                             std::size_t step) {
    // The last 8 bytes are read beside the codes and not used.
    std::uint8_t wide[72];
    if constexpr (kBits == 4) {
      widen(kept, wide);
      widen(kept + 16, wide + 32);
      vst1_u8(wide + 64, vdup_n_u8(0));
      kept = wide;
    }
    for (std::size_t i = 0; i < 2; ++i, mask >>= 32) {
      tile.codes.low[step + i] = four_rows<kBits>(kept, mask, zero);
      tile.codes.high[step + i] = four_rows<kBits>(kept, mask >> 16, zero + 2);
    }
  }

  LAMELLA_INLINE Sums add(const TokenBlock& token, const Sums& sums) const {
    return neon::add_dots(tile, token, sums);
  }

  neon::Tile<kBits, kParts> tile;
};

#include "kernels/linear_a8/strips.inc"

}  // namespace

void sparse_linear_w4a8_neon(const LinearCall& call, Slice strips) { run<4>(call, strips); }
void sparse_linear_w8a8_neon(const LinearCall& call, Slice strips) { run<8>(call, strips); }

}  // namespace lamella

#endif  // LAMELLA_ARM
