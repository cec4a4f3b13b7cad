// attention with AVX-512: attention_vector.h on the registers of this instruction set.
#include "kernels/attention/attention.h"

#if LAMELLA_AVX512

#include <algorithm>
#include <cstring>
#include <type_traits>

#include "base/avx512.h"
#include "kernels/attention/unit.h"
#include "kernels/math/shift.h"
#include "kernels/math/tree.h"
#include "kernels/softmax/softmax.h"

LAMELLA_TARGET_BEGIN("avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl")

namespace lamella {
namespace {

#include "kernels/math/value_avx512.h"
// The formats of a cache in these registers.
#include "kernels/attention/cache_avx512.h"
// What follows is the same for every Value.
#include "kernels/attention/attention_vector.h"

}  // namespace

void attention_avx512(const AttentionCall& call, AttentionScratch scratch, Slice units) {
  run(call, scratch, units, &softmax_avx512);
}

}  // namespace lamella

LAMELLA_TARGET_END

#endif  // LAMELLA_AVX512
