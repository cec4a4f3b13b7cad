// elementwise with AVX-512: elementwise_vector.h on the registers of this instruction set.
#include "kernels/elementwise/elementwise.h"

#if LAMELLA_AVX512

#include <cstddef>
#include <cstdint>

#include "base/avx512.h"
#include "kernels/math/shift.h"
#include "kernels/math/tree.h"

LAMELLA_TARGET_BEGIN("avx2,fma,avx512f,avx512dq")

namespace lamella {
namespace {

#include "kernels/math/value_avx512.h"
// What follows is the same for every Value.
#include "kernels/elementwise/elementwise_vector.h"

}  // namespace

const ElementwiseCalls elementwise_avx512 = {
#define LAMELLA_UNARY(name) &unary<&name>,
#define LAMELLA_BINARY(name) &binary<&name>,
#include "kernels/elementwise/operations.inc"
#undef LAMELLA_UNARY
#undef LAMELLA_BINARY
};

}  // namespace lamella

LAMELLA_TARGET_END

#endif  // LAMELLA_AVX512
