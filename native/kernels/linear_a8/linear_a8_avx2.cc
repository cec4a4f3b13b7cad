// linear_a8 with AVX2.
#include "kernels/linear_a8/ymm.h"

#if LAMELLA_X86

LAMELLA_TARGET_BEGIN("avx2,fma,f16c")

namespace lamella {
namespace {

constexpr std::size_t kTokens = 4;
constexpr std::size_t kStrips = 1;
constexpr bool kPaired = false;
constexpr bool kSparse = false;
using Sums = __m256;

template <int kBits, std::size_t kParts>
struct Tile {
  LAMELLA_INLINE Tile(const LinearWeight& weight, Strips strips, std::size_t block)
      : tile(weight, strips.first, block) {}

  LAMELLA_INLINE Sums add(const TokenBlock& token, Sums sums) const {
    return ymm::add_dots(tile, token, sums);
  }

  ymm::Tile<kBits, kParts> tile;
};

void store(Sums sums, float* rows) { _mm256_storeu_ps(rows, sums); }

#include "kernels/linear_a8/strips.inc"
// What follows needs the loops.
#include "kernels/linear_a8/wide.inc"

}  // namespace

void linear_w2a8_avx2(const LinearCall& call, Slice strips) { run<2>(call, strips); }
void linear_w3a8_avx2(const LinearCall& call, Slice strips) { run<3>(call, strips); }
void linear_w4a8_avx2(const LinearCall& call, Slice strips) { run<4>(call, strips); }
void linear_w5a8_avx2(const LinearCall& call, Slice strips) { run<5>(call, strips); }
void linear_w6a8_avx2(const LinearCall& call, Slice strips) { run<6>(call, strips); }
void linear_w8a8_avx2(const LinearCall& call, Slice strips) {
  call.weight.halved() ? run_eight<2>(call, strips) : run_eight<1>(call, strips);
}

}  // namespace lamella

LAMELLA_TARGET_END

#endif  // LAMELLA_X86
