// conv2d_f32 with NEON: conv2d_f32_vector.h on the registers of this instruction set.
#include "kernels/conv2d_f32/conv2d_f32.h"

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
#include "kernels/linear_float/linear_float.h"
#include "kernels/math/shift.h"
#include "kernels/math/tree.h"

namespace lamella {
namespace {

#include "kernels/linear_float/rows_neon.h"
#include "kernels/math/value_neon.h"
// What follows is the same for every Rows and Value.
#include "kernels/conv2d_f32/conv2d_f32_vector.h"

}  // namespace

void conv2d_f32_neon(const Conv2dF32Call& call, Slice rows) { run(call, rows); }

}  // namespace lamella

#endif  // LAMELLA_ARM
