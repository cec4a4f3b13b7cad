// conv2d_a8 with AVX-512 and VNNI: two strips side by side, the first in the lower halves.
#include "base/isa.h"

#if LAMELLA_AVX512

#include "base/avx512.h"
#include "kernels/conv2d_a8/tiles.h"
#include "kernels/linear_a8/ymm.h"
#include "kernels/math/shift.h"

LAMELLA_TARGET_BEGIN("avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")

namespace lamella {
namespace {

#include "kernels/math/value_avx512.h"
#include "kernels/static/lanes_avx512.h"
// What follows is the same for every Value.
#include "kernels/static/epilogue_vector.h"

constexpr std::size_t kPositions = 8;
constexpr std::size_t kStrips = 2;
constexpr std::size_t kVectors = 2;
constexpr int kLowered = 0;
using Dots = __m512i;
using Weights = __m512i;

template <int kBits, std::size_t kStep>
LAMELLA_INLINE __m512i step_weights(Tiles tiles) {
  const __m256i first = ymm::step_codes<kBits, kStep>(tiles.first);
  const __m256i last = ymm::step_codes<kBits, kStep>(tiles.last);
  const __m512i codes = _mm512_inserti64x4(_mm512_castsi256_si512(first), last, 1);
  return _mm512_sub_epi8(codes, _mm512_set1_epi8(static_cast<char>(1 << (kBits - 1))));
}

LAMELLA_INLINE __m512i load_weights(const std::uint8_t* from) { return _mm512_loadu_si512(from); }

LAMELLA_INLINE void store_weights(__m512i weights, std::uint8_t* to) {
  _mm512_storeu_si512(to, weights);
}

LAMELLA_INLINE __m512i dot(__m512i sum, std::int32_t four, __m512i weights) {
  return _mm512_dpbusd_epi32(sum, _mm512_set1_epi32(four), weights);
}

LAMELLA_INLINE __m512i load_dots(const std::int32_t* from) { return _mm512_loadu_si512(from); }

LAMELLA_INLINE void store_dots(__m512i sums, std::int32_t* to) { _mm512_storeu_si512(to, sums); }

#include "kernels/conv2d_a8/tiles.inc"
// What follows needs the loops.
#include "kernels/conv2d_a8/dot_steps.inc"

}  // namespace

void conv2d_w4a8_avx512(const Conv2dCall& call, Slice positions, Slice strips) {
  run<4>(call, positions, strips);
}
void conv2d_w6a8_avx512(const Conv2dCall& call, Slice positions, Slice strips) {
  run<6>(call, positions, strips);
}
void conv2d_w8a8_avx512(const Conv2dCall& call, Slice positions, Slice strips) {
  run<8>(call, positions, strips);
}

}  // namespace lamella

LAMELLA_TARGET_END

#endif  // LAMELLA_AVX512
