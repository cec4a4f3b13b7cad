// conv2d_a8 with AVX2, which has no exact product of bytes: vpmaddubsw saturates at 16 bits. Each
// pair of products of input codes and weights of 4 bits is below 2 * 255 * 8, so that 8 fit; of 6
// bits 2 fit. Weights of 8 bits are multiplied as numbers of 16 bits (wide.inc).
#include "base/isa.h"

#if LAMELLA_X86

#include <immintrin.h>

#include <cstring>

#include "kernels/conv2d_a8/tiles.h"
#include "kernels/linear_a8/ymm.h"
#include "kernels/math/shift.h"
#include "kernels/math/tree.h"

LAMELLA_TARGET_BEGIN("avx2,fma,f16c")

namespace lamella {
namespace {

#include "kernels/math/value_avx2.h"
#include "kernels/static/lanes_avx2.h"
// What follows is the same for every Value.
#include "kernels/static/epilogue_vector.h"

constexpr std::size_t kPositions = 6;
constexpr std::size_t kStrips = 1;
constexpr std::size_t kVectors = 1;
constexpr int kLowered = 0;

#include "kernels/conv2d_a8/ymm_weights.inc"

// The steps whose products are added in 16 bits.
template <int kBits>
constexpr std::size_t kRun = kBits == 4 ? 4 : 2;
static_assert(2 * 4 * 255 * 8 <= 32767, "4 steps of 4 bits must fit 16 bits");
static_assert(2 * 2 * 255 * 32 <= 32767, "2 steps of 6 bits must fit 16 bits");

#include "kernels/conv2d_a8/tiles.inc"

// The compiler's own constructors would be compiled outside the region.
template <int kBits, std::size_t... kAt>
struct Sums<kBits, 1, std::index_sequence<kAt...>> {
  LAMELLA_INLINE Sums(bool more, std::int32_t* to) : sums(to) {
    if (more) ((wide[kAt] = load_eight(sums + kPairRows * kAt)), ...);
  }

  LAMELLA_INLINE void add(const std::uint8_t* panel, const std::uint8_t* const* from,
                          std::size_t steps) {
    std::size_t step = 0;
    for (; step + kRun<kBits> <= steps; step += kRun<kBits>, panel += kRun<kBits> * kStepBytes) {
      add_run(panel, from, step, std::make_index_sequence<kRun<kBits>>());
    }
    for (; step < steps; ++step, panel += kStepBytes) {
      add_run(panel, from, step, std::index_sequence<0>());
    }
  }

  template <std::size_t... kStep>
  LAMELLA_INLINE void add_run(const std::uint8_t* panel, const std::uint8_t* const* from,
                              std::size_t step, std::index_sequence<kStep...>) {
    const __m256i weights[] = {ymm::load(panel + kStep * kStepBytes)...};
    const auto add = [&](std::size_t at) {
      widen(at, sum(multiply(from[at] + 4 * (step + kStep), weights[kStep])...));
    };
    (add(kAt), ...);
  }

  // The products of the only position.
  LAMELLA_INLINE void add_step(const std::uint8_t* codes, __m256i weights) {
    widen(0, multiply(codes, weights));
  }

  static LAMELLA_INLINE __m256i multiply(const std::uint8_t* codes, __m256i weights) {
    return _mm256_maddubs_epi16(_mm256_set1_epi32(four_codes(codes)), weights);
  }

  template <typename... Products>
  static LAMELLA_INLINE __m256i sum(__m256i first, Products... others) {
    ((first = _mm256_add_epi16(first, others)), ...);
    return first;
  }

  LAMELLA_INLINE void widen(std::size_t at, __m256i narrow) {
    const __m256i pairs = _mm256_madd_epi16(narrow, _mm256_set1_epi16(1));
    wide[at] = _mm256_add_epi32(wide[at], pairs);
  }

  LAMELLA_INLINE void write() const {
    const auto store = [&](std::size_t at) {
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(sums + kPairRows * at), wide[at]);
    };
    (store(kAt), ...);
  }

  std::int32_t* sums;
  __m256i wide[sizeof...(kAt)] = {(static_cast<void>(kAt), _mm256_setzero_si256())...};
};

#include "kernels/conv2d_a8/wide.inc"

}  // namespace

void conv2d_w4a8_avx2(const Conv2dCall& call, Slice positions, Slice strips) {
  run<4>(call, positions, strips);
}
void conv2d_w6a8_avx2(const Conv2dCall& call, Slice positions, Slice strips) {
  run<6>(call, positions, strips);
}
void conv2d_w8a8_avx2(const Conv2dCall& call, Slice positions, Slice strips) {
  run_wide(call, positions, strips);
}

}  // namespace lamella

LAMELLA_TARGET_END

#endif  // LAMELLA_X86
