// conv2d_f32 with AVX-512: conv2d_f32_vector.h on the registers of this instruction set.
#include "kernels/conv2d_f32/conv2d_f32.h"

#if LAMELLA_AVX512

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>

#include "base/avx512.h"
#include "base/prefetch.h"
#include "kernels/linear_a8/ymm.h"
#include "kernels/linear_float/linear_float.h"
#include "kernels/math/shift.h"
#include "kernels/math/tree.h"

LAMELLA_TARGET_BEGIN("avx2,fma,f16c,avx512f,avx512dq")

namespace lamella {
namespace {

#include "kernels/linear_float/rows_avx512.h"
#include "kernels/math/value_avx512.h"
// What follows is the same for every Rows and Value.
#include "kernels/conv2d_f32/conv2d_f32_vector.h"

}  // namespace

void conv2d_f32_avx512(const Conv2dF32Call& call, Slice rows) { run(call, rows); }

}  // namespace lamella

LAMELLA_TARGET_END

#endif  // LAMELLA_AVX512
