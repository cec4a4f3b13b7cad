// A fragment: elementwise, 16 elements at a time. Included after kernels/math/value_<isa>.h.
#include "kernels/math/activations.h"

template <Value (*kApply)(Value)>
void unary(std::size_t count, const float* x, float* y) {
  std::size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) store(y + i, kApply(load(x + i)));
  if (i == count) return;
  store_first(y + i, kApply(load_first(x + i, count - i)), count - i);
}

template <Value (*kApply)(Value, Value)>
void binary(std::size_t count, const float* a, const float* b, float* y) {
  std::size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) store(y + i, kApply(load(a + i), load(b + i)));
  if (i == count) return;
  const std::size_t rest = count - i;
  store_first(y + i, kApply(load_first(a + i, rest), load_first(b + i, rest)), rest);
}
