// linear_a8 with NEON.
#include "kernels/linear_a8/neon.h"

#if LAMELLA_ARM

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
    return neon::add_dots(tile, token, sums);
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
