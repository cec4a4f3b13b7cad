// depthwise_f32 with AVX-512: depthwise_f32_vector.h on the registers of this instruction set.
#include "kernels/depthwise_f32/depthwise_f32.h"

#if LAMELLA_AVX512

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "base/avx512.h"
#include "base/prefetch.h"
#include "kernels/math/shift.h"
#include "kernels/math/tree.h"

LAMELLA_TARGET_BEGIN("avx2,fma,avx512f,avx512dq")

namespace lamella {
namespace {

#include "kernels/math/value_avx512.h"
constexpr std::size_t kPixels = 7;
// What follows is the same for every Value.
#include "kernels/depthwise_f32/depthwise_f32_vector.h"

}  // namespace

void depthwise_f32_avx512(const DepthwiseF32Call& call, Slice rows) { run(call, rows); }

}  // namespace lamella

LAMELLA_TARGET_END

#endif  // LAMELLA_AVX512
