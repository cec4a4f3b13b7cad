// softmax with AVX2: softmax_vector.h on the registers of this instruction set.
#include "kernels/softmax/softmax.h"

#if LAMELLA_X86

#include <immintrin.h>

#include <cstddef>
#include <cstdint>
#include <limits>

#include "kernels/math/shift.h"
#include "kernels/math/tree.h"

LAMELLA_TARGET_BEGIN("avx2,fma")

namespace lamella {
namespace {

#include "kernels/math/value_avx2.h"
// What follows is the same for every Value.
#include "kernels/softmax/softmax_vector.h"

}  // namespace

void softmax_avx2(std::size_t rows, std::size_t cols, const float* x, float* y) {
  run(rows, cols, x, y);
}

}  // namespace lamella

LAMELLA_TARGET_END

#endif  // LAMELLA_X86
