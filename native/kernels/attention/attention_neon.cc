// attention with NEON: attention_vector.h on the registers of this instruction set.
#include "kernels/attention/attention.h"

#if LAMELLA_ARM

#include <arm_neon.h>

#include <algorithm>
#include <cstring>
#include <type_traits>

#include "kernels/attention/unit.h"
#include "kernels/math/shift.h"
#include "kernels/math/tree.h"
#include "kernels/softmax/softmax.h"

namespace lamella {
namespace {

#include "kernels/math/value_neon.h"
// The formats of a cache in these registers.
#include "kernels/attention/cache_neon.h"
// What follows is the same for every Value.
#include "kernels/attention/attention_vector.h"

}  // namespace

void attention_neon(const AttentionCall& call, AttentionScratch scratch, Slice units) {
  run(call, scratch, units, &softmax_neon);
}

}  // namespace lamella

#endif  // LAMELLA_ARM
