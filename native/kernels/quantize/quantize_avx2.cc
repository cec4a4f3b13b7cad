// quantize with AVX2: quantize_values.h on the registers of this instruction set.
#include "kernels/quantize/quantize.h"

#if LAMELLA_X86

#include <immintrin.h>

#include <algorithm>
#include <cstring>

#include "kernels/math/shift.h"
#include "kernels/math/tree.h"

LAMELLA_TARGET_BEGIN("avx2,fma")

namespace lamella {
namespace {

#include "kernels/math/value_avx2.h"
#include "kernels/static/codes_avx2.h"
// What follows is the same for every Value.
#include "kernels/quantize/quantize_values.h"

}  // namespace

const QuantizeCalls quantize_avx2 = {&quantize, &dequantize};

}  // namespace lamella

LAMELLA_TARGET_END

#endif  // LAMELLA_X86
