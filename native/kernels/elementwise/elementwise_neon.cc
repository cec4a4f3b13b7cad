// elementwise with NEON: elementwise_vector.h on the registers of this instruction set.
#include "kernels/elementwise/elementwise.h"

#if LAMELLA_ARM

#include <arm_neon.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "kernels/math/shift.h"
#include "kernels/math/tree.h"

namespace lamella {
namespace {

#include "kernels/math/value_neon.h"
// What follows is the same for every Value.
#include "kernels/elementwise/elementwise_vector.h"

}  // namespace

const ElementwiseCalls elementwise_neon = {
#define LAMELLA_UNARY(name) &unary<&name>,
#define LAMELLA_BINARY(name) &binary<&name>,
#include "kernels/elementwise/operations.inc"
#undef LAMELLA_UNARY
#undef LAMELLA_BINARY
};

}  // namespace lamella

#endif  // LAMELLA_ARM
