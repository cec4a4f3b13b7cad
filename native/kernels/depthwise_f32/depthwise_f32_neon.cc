// depthwise_f32 with NEON: depthwise_f32_vector.h on the registers of this instruction set.
#include "kernels/depthwise_f32/depthwise_f32.h"

#if LAMELLA_ARM

#include <arm_neon.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>

#include "base/prefetch.h"
#include "kernels/math/shift.h"
#include "kernels/math/tree.h"

namespace lamella {
namespace {

#include "kernels/math/value_neon.h"
constexpr std::size_t kPixels = 4;
// What follows is the same for every Value.
#include "kernels/depthwise_f32/depthwise_f32_vector.h"

}  // namespace

void depthwise_f32_neon(const DepthwiseF32Call& call, Slice rows) { run(call, rows); }

}  // namespace lamella

#endif  // LAMELLA_ARM
