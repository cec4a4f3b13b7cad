// conv2d_a8 with AVX-VNNI: vpdpbusd adds four products of bytes to 32 bits, exactly.
#include "base/isa.h"

#if LAMELLA_X86

#include <immintrin.h>

#include <cstring>

#include "kernels/conv2d_a8/tiles.h"
#include "kernels/linear_a8/ymm.h"
#include "kernels/math/shift.h"
#include "kernels/math/tree.h"

LAMELLA_TARGET_BEGIN("avx2,fma,f16c,avxvnni")

namespace lamella {
namespace {

#include "kernels/math/value_avx2.h"
#include "kernels/static/lanes_avx2.h"
// What follows is the same for every Value.
#include "kernels/static/epilogue_vector.h"

constexpr std::size_t kPositions = 6;
constexpr std::size_t kStrips = 1;
constexpr std::size_t kVectors = 2;
constexpr int kLowered = 0;
using Dots = __m256i;

#include "kernels/conv2d_a8/ymm_weights.inc"

LAMELLA_INLINE __m256i dot(__m256i sum, std::int32_t four, __m256i weights) {
  return _mm256_dpbusd_avx_epi32(sum, _mm256_set1_epi32(four), weights);
}

LAMELLA_INLINE __m256i load_dots(const std::int32_t* from) { return load_eight(from); }

LAMELLA_INLINE void store_dots(__m256i sums, std::int32_t* to) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), sums);
}

#include "kernels/conv2d_a8/tiles.inc"
// What follows needs the loops.
#include "kernels/conv2d_a8/dot_steps.inc"

}  // namespace

void conv2d_w4a8_avxvnni(const Conv2dCall& call, Slice positions, Slice strips) {
  run<4>(call, positions, strips);
}
void conv2d_w6a8_avxvnni(const Conv2dCall& call, Slice positions, Slice strips) {
  run<6>(call, positions, strips);
}
void conv2d_w8a8_avxvnni(const Conv2dCall& call, Slice positions, Slice strips) {
  run<8>(call, positions, strips);
}

}  // namespace lamella

LAMELLA_TARGET_END

#endif  // LAMELLA_X86
