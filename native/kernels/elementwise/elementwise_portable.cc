// elementwise for any processor: the reference of the other kernels.
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

#include "kernels/elementwise/elementwise.h"
#include "kernels/math/shift.h"

namespace lamella {
namespace {

#include "kernels/math/value_portable.h"
// What follows is the same for every Value.
#include "kernels/math/activations.h"

template <Value (*kApply)(Value)>
void unary(std::size_t count, const float* x, float* y) {
  for (std::size_t i = 0; i < count; ++i) store(y + i, kApply(x[i]));
}

template <Value (*kApply)(Value, Value)>
void binary(std::size_t count, const float* a, const float* b, float* y) {
  for (std::size_t i = 0; i < count; ++i) store(y + i, kApply(a[i], b[i]));
}

}  // namespace

const ElementwiseCalls elementwise_portable = {
#define LAMELLA_UNARY(name) &unary<&name>,
#define LAMELLA_BINARY(name) &binary<&name>,
#include "kernels/elementwise/operations.inc"
#undef LAMELLA_UNARY
#undef LAMELLA_BINARY
};

}  // namespace lamella
