// linear_a8 with AVX-VNNI: vpdpbusd adds four products of bytes to 32 bits, exactly.
#include "kernels/linear_a8/ymm.h"

#if LAMELLA_X86

LAMELLA_TARGET_BEGIN("avx2,fma,f16c,avxvnni")

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
    const auto steps = std::make_index_sequence<kSteps / kParts>();
    sums = tile.template add<0>(dot<0>(token.codes, steps), token, sums);
    if constexpr (kParts == 2) {
      sums = tile.template add<1>(dot<kSteps / 2>(token.codes, steps), token, sums);
    }
    return sums;
  }

  template <std::size_t kFirst, std::size_t... kStep>
  LAMELLA_INLINE __m256i dot(const std::int8_t* input, std::index_sequence<kStep...>) const {
    __m256i sum = _mm256_setzero_si256();
    ((sum = _mm256_dpbusd_avx_epi32(sum, tile.codes[kFirst + kStep],
                                    _mm256_set1_epi32(step_input(input, kFirst + kStep)))),
     ...);
    return sum;
  }

  ymm::Tile<kBits, kParts> tile;
};

void store(Sums sums, float* rows) { _mm256_storeu_ps(rows, sums); }

#include "kernels/linear_a8/strips.inc"

}  // namespace

void linear_w2a8_avxvnni(const LinearCall& call, Slice strips) { run<2>(call, strips); }
void linear_w3a8_avxvnni(const LinearCall& call, Slice strips) { run<3>(call, strips); }
void linear_w4a8_avxvnni(const LinearCall& call, Slice strips) { run<4>(call, strips); }
void linear_w5a8_avxvnni(const LinearCall& call, Slice strips) { run<5>(call, strips); }
void linear_w6a8_avxvnni(const LinearCall& call, Slice strips) { run<6>(call, strips); }
void linear_w8a8_avxvnni(const LinearCall& call, Slice strips) { run<8>(call, strips); }

}  // namespace lamella

LAMELLA_TARGET_END

#endif  // LAMELLA_X86
