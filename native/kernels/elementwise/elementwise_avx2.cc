// elementwise with AVX2: elementwise_vector.h on the registers of this instruction set.
#include "kernels/elementwise/elementwise.h"

#if LAMELLA_X86

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "kernels/math/shift.h"
#include "kernels/math/tree.h"

LAMELLA_TARGET_BEGIN("avx2,fma")

namespace lamella {
namespace {

#include "kernels/math/value_avx2.h"
// What follows is the same for every Value.
#include "kernels/elementwise/elementwise_vector.h"

}  // namespace

const ElementwiseCalls elementwise_avx2 = {
#define LAMELLA_UNARY(name) &unary<&name>,
#define LAMELLA_BINARY(name) &binary<&name>,
#include "kernels/elementwise/operations.inc"
#undef LAMELLA_UNARY
#undef LAMELLA_BINARY
};

}  // namespace lamella

LAMELLA_TARGET_END

#endif  // LAMELLA_X86
