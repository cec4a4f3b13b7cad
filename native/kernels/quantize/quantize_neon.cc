// quantize with NEON: quantize_values.h on the registers of this instruction set.
#include "kernels/quantize/quantize.h"

#if LAMELLA_ARM

#include <arm_neon.h>

#include <algorithm>
#include <cstring>

#include "kernels/math/shift.h"
#include "kernels/math/tree.h"

namespace lamella {
namespace {

#include "kernels/math/value_neon.h"
#include "kernels/static/codes_neon.h"
// What follows is the same for every Value.
#include "kernels/quantize/quantize_values.h"

}  // namespace

const QuantizeCalls quantize_neon = {&quantize, &dequantize};

}  // namespace lamella

#endif  // LAMELLA_ARM
