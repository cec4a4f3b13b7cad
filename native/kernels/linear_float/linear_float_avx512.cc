// linear_float with AVX-512: linear_float_vector.h on the registers of this instruction set.
#include "kernels/linear_float/linear_float.h"

#if LAMELLA_AVX512

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>

#include "base/avx512.h"
#include "base/prefetch.h"
#include "kernels/linear_a8/ymm.h"
#include "kernels/math/shift.h"
#include "kernels/math/tree.h"

LAMELLA_TARGET_BEGIN("avx2,fma,f16c,avx512f,avx512dq")

namespace lamella {
namespace {

#include "kernels/linear_float/rows_avx512.h"
#include "kernels/math/value_avx512.h"
// What follows is the same for every Rows and Value.
#include "kernels/linear_float/linear_float_vector.h"

}  // namespace

void linear_f32_avx512(const LinearFloatCall& call, Slice strips) {
  run<Plain<float>>(call, strips);
}
void linear_f16_avx512(const LinearFloatCall& call, Slice strips) {
  run<Plain<std::uint16_t>>(call, strips);
}
void linear_w4f32_avx512(const LinearFloatCall& call, Slice strips) { run<Coded<4>>(call, strips); }
void linear_w8f32_avx512(const LinearFloatCall& call, Slice strips) { run<Coded<8>>(call, strips); }

}  // namespace lamella

LAMELLA_TARGET_END

#endif  // LAMELLA_AVX512
