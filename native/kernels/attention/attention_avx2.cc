// attention with AVX2: attention_vector.h on the registers of this instruction set.
#include "kernels/attention/attention.h"

#if LAMELLA_X86

#include <immintrin.h>

#include <algorithm>
#include <cstring>
#include <type_traits>

#include "kernels/attention/unit.h"
#include "kernels/math/shift.h"
#include "kernels/math/tree.h"
#include "kernels/softmax/softmax.h"

LAMELLA_TARGET_BEGIN("avx2,fma,f16c")

namespace lamella {
namespace {

#include "kernels/math/value_avx2.h"
// The formats of a cache in these registers.
#include "kernels/attention/cache_avx2.h"
// What follows is the same for every Value.
#include "kernels/attention/attention_vector.h"

}  // namespace

void attention_avx2(const AttentionCall& call, AttentionScratch scratch, Slice units) {
  run(call, scratch, units, &softmax_avx2);
}

}  // namespace lamella

LAMELLA_TARGET_END

#endif  // LAMELLA_X86
