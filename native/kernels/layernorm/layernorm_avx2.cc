// layernorm with AVX2: layernorm_vector.h on the registers of this instruction set.
#include "kernels/layernorm/layernorm.h"

#if LAMELLA_X86

#include <immintrin.h>

#include <cmath>
#include <cstddef>
#include <cstdint>

#include "kernels/math/shift.h"
#include "kernels/math/tree.h"

LAMELLA_TARGET_BEGIN("avx2,fma")

namespace lamella {
namespace {

#include "kernels/math/value_avx2.h"
// What follows is the same for every Value.
#include "kernels/layernorm/layernorm_vector.h"

}  // namespace

void layernorm_avx2(std::size_t rows, std::size_t cols, const float* x,
                    LayernormParameters parameters, float* y) {
  run(rows, cols, x, parameters, y);
}

}  // namespace lamella

LAMELLA_TARGET_END

#endif  // LAMELLA_X86
