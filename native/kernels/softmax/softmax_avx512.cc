// softmax with AVX-512: softmax_vector.h on the registers of this instruction set.
#include "kernels/softmax/softmax.h"

#if LAMELLA_AVX512

#include <cstddef>
#include <cstdint>
#include <limits>

#include "base/avx512.h"
#include "kernels/math/shift.h"
#include "kernels/math/tree.h"

LAMELLA_TARGET_BEGIN("avx2,fma,avx512f,avx512dq")

namespace lamella {
namespace {

#include "kernels/math/value_avx512.h"
// What follows is the same for every Value.
#include "kernels/softmax/softmax_vector.h"

}  // namespace

void softmax_avx512(std::size_t rows, std::size_t cols, const float* x, float* y) {
  run(rows, cols, x, y);
}

}  // namespace lamella

LAMELLA_TARGET_END

#endif  // LAMELLA_AVX512
