// sample with AVX2: sample_vector.h on the registers of this instruction set.
#include "kernels/sample/sample.h"

#if LAMELLA_X86

#include <immintrin.h>

#include <cstddef>
#include <cstdint>
#include <limits>

#include "kernels/math/shift.h"
#include "kernels/math/tree.h"
#include "kernels/sample/draw.h"

LAMELLA_TARGET_BEGIN("avx2,fma")

namespace lamella {
namespace {

#include "kernels/math/value_avx2.h"
// What follows is the same for every Value.
#include "kernels/sample/sample_vector.h"

}  // namespace

const SampleCalls sample_avx2 = {&argmax, &sample};

}  // namespace lamella

LAMELLA_TARGET_END

#endif  // LAMELLA_X86
