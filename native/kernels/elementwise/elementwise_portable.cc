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
void binary(const Broadcast& shape, const float* a, const float* b, float* y, Slice elements) {
  const BroadcastAxis& last = shape.last();
  for_each_row(shape, elements,
               [&](std::size_t at_a, std::size_t at_b, std::size_t at, std::size_t count) {
                 for (std::size_t i = 0; i < count; ++i) {
                   store(y + at + i, kApply(a[at_a + i * last.a], b[at_b + i * last.b]));
                 }
               });
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
