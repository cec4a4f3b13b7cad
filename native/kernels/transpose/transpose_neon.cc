// transpose with NEON.
#include "kernels/transpose/transpose.h"

#if LAMELLA_ARM

#include <arm_neon.h>

#include <algorithm>
#include <cstring>

namespace lamella {
namespace {

using Vector = uint8x16_t;

LAMELLA_INLINE Vector load_vector(const std::uint8_t* from) { return vld1q_u8(from); }
LAMELLA_INLINE void store_vector(std::uint8_t* to, Vector vector) { vst1q_u8(to, vector); }

LAMELLA_INLINE uint16x8_t in_words(Vector x) { return vreinterpretq_u16_u8(x); }
LAMELLA_INLINE uint32x4_t in_fours(Vector x) { return vreinterpretq_u32_u8(x); }

template <std::size_t kBytes>
LAMELLA_INLINE Vector zip_low(Vector a, Vector b) {
  if constexpr (kBytes == 1) return vzip1q_u8(a, b);
  if constexpr (kBytes == 2) return vreinterpretq_u8_u16(vzip1q_u16(in_words(a), in_words(b)));
  return vreinterpretq_u8_u32(vzip1q_u32(in_fours(a), in_fours(b)));
}

template <std::size_t kBytes>
LAMELLA_INLINE Vector zip_high(Vector a, Vector b) {
  if constexpr (kBytes == 1) return vzip2q_u8(a, b);
  if constexpr (kBytes == 2) return vreinterpretq_u8_u16(vzip2q_u16(in_words(a), in_words(b)));
  return vreinterpretq_u8_u32(vzip2q_u32(in_fours(a), in_fours(b)));
}

#include "kernels/transpose/elements.h"
#include "kernels/transpose/squares.h"
// What follows is the same for every instruction set.
#include "kernels/transpose/planes.h"

}  // namespace

void transpose_neon(const TransposeCall& call, Slice units) { run(call, units); }

}  // namespace lamella

#endif  // LAMELLA_ARM
