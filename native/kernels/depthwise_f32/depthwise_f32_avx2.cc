// depthwise_f32 with AVX2: depthwise_f32_vector.h on the registers of this instruction set.
#include "kernels/depthwise_f32/depthwise_f32.h"

#if LAMELLA_X86

#include <immintrin.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "base/prefetch.h"
#include "kernels/math/shift.h"
#include "kernels/math/tree.h"

LAMELLA_TARGET_BEGIN("avx2,fma")

namespace lamella {
namespace {

#include "kernels/math/value_avx2.h"
constexpr std::size_t kPixels = 4;
// What follows is the same for every Value.
#include "kernels/depthwise_f32/depthwise_f32_vector.h"

}  // namespace

void depthwise_f32_avx2(const DepthwiseF32Call& call, Slice rows) { run(call, rows); }

}  // namespace lamella

LAMELLA_TARGET_END

#endif  // LAMELLA_X86
