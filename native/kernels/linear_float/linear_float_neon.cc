// linear_float with NEON: linear_float_vector.h on the registers of this instruction set.
#include "kernels/linear_float/linear_float.h"

#if LAMELLA_ARM

#include <arm_neon.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#include "base/prefetch.h"
#include "kernels/linear_a8/neon.h"
#include "kernels/math/shift.h"
#include "kernels/math/tree.h"

namespace lamella {
namespace {

#include "kernels/linear_float/rows_neon.h"
#include "kernels/math/value_neon.h"
// What follows is the same for every Rows and Value.
#include "kernels/linear_float/linear_float_vector.h"

}  // namespace

void linear_f32_neon(const LinearFloatCall& call, Slice strips) { run<Plain<float>>(call, strips); }
void linear_f16_neon(const LinearFloatCall& call, Slice strips) {
  run<Plain<std::uint16_t>>(call, strips);
}
void linear_w4f32_neon(const LinearFloatCall& call, Slice strips) { run<Coded<4>>(call, strips); }
void linear_w8f32_neon(const LinearFloatCall& call, Slice strips) { run<Coded<8>>(call, strips); }

}  // namespace lamella

#endif  // LAMELLA_ARM
