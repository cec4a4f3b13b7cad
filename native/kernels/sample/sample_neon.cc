// sample with NEON: sample_vector.h on the registers of this instruction set.
#include "kernels/sample/sample.h"

#if LAMELLA_ARM

#include <arm_neon.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>

#include "kernels/math/shift.h"
#include "kernels/math/tree.h"
#include "kernels/sample/draw.h"

namespace lamella {
namespace {

#include "kernels/math/value_neon.h"
// What follows is the same for every Value.
#include "kernels/sample/sample_vector.h"

}  // namespace

const SampleCalls sample_neon = {&argmax, &sample};

}  // namespace lamella

#endif  // LAMELLA_ARM
