// rope with AVX2: rope_vector.h on the registers of this instruction set.
#include "kernels/rope/rope.h"

#if LAMELLA_X86

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "kernels/math/shift.h"
#include "kernels/math/tree.h"

LAMELLA_TARGET_BEGIN("avx2,fma")

namespace lamella {
namespace {

#include "kernels/math/value_avx2.h"
// What follows is the same for every Value.
#include "kernels/rope/rope_vector.h"

}  // namespace

void rope_avx2(RopeShape shape, const float* x, RopeTables tables, float* y) {
  run(shape, x, tables, y);
}

}  // namespace lamella

LAMELLA_TARGET_END

#endif  // LAMELLA_X86
