// quantize for any processor: the reference of the other kernels.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "kernels/math/shift.h"
#include "kernels/quantize/quantize.h"

namespace lamella {
namespace {

#include "kernels/math/value_portable.h"
#include "kernels/static/codes_portable.h"
// What follows is the same for every Value.
#include "kernels/quantize/quantize_values.h"

}  // namespace

const QuantizeCalls quantize_portable = {&quantize, &dequantize};

}  // namespace lamella
