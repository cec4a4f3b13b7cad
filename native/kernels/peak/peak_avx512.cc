// peak with AVX-512 and VNNI: codes of 4 and of 8 bits take the same instruction.
#include "base/isa.h"

#if LAMELLA_AVX512

#include <type_traits>
#include <utility>

#include "base/avx512.h"
#include "kernels/peak/peak.h"

LAMELLA_TARGET_BEGIN("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")

namespace lamella {
namespace {

#include "kernels/peak/loop.inc"

struct Dots {
  using Operand = __m512i;
  using Sum = __m512i;
  static constexpr std::size_t kProducts = 64, kSums = 12;

  LAMELLA_INLINE static __m512i all(int code) { return _mm512_set1_epi8(static_cast<char>(code)); }
  LAMELLA_INLINE static __m512i zero() { return _mm512_setzero_si512(); }
  LAMELLA_INLINE static __m512i add(__m512i sum, __m512i& weight, __m512i input) {
    return _mm512_dpbusd_epi32(sum, weight, input);
  }

  LAMELLA_INLINE static std::uint32_t total(__m512i sum) {
    std::uint32_t lanes[16], all = 0;
    _mm512_storeu_si512(lanes, sum);
    for (const std::uint32_t lane : lanes) all += lane;
    return all;
  }
};

struct Floats {
  using Operand = __m512;
  using Sum = __m512;
  static constexpr std::size_t kProducts = 16, kSums = 12;

  LAMELLA_INLINE static __m512 all(int number) {
    return _mm512_set1_ps(static_cast<float>(number));
  }
  LAMELLA_INLINE static __m512 zero() { return _mm512_setzero_ps(); }
  LAMELLA_INLINE static __m512 add(__m512 sum, __m512& weight, __m512 input) {
    return _mm512_fmadd_ps(weight, input, sum);
  }

  LAMELLA_INLINE static std::uint32_t total(__m512 sum) {
    return Dots::total(_mm512_cvtps_epi32(sum));
  }
};

}  // namespace

std::uint32_t peak_w4a8_avx512(std::size_t rounds, PeakOperands operands) {
  return run<Dots>(rounds, operands);
}
std::uint32_t peak_w8a8_avx512(std::size_t rounds, PeakOperands operands) {
  return run<Dots>(rounds, operands);
}
std::uint32_t peak_f32_avx512(std::size_t rounds, PeakOperands operands) {
  return run<Floats>(rounds, operands);
}

}  // namespace lamella

LAMELLA_TARGET_END

#endif  // LAMELLA_AVX512
