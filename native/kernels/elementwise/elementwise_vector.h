// A fragment: elementwise, 16 elements at a time. Included after kernels/math/value_<isa>.h.
#include "kernels/math/activations.h"

template <Value (*kApply)(Value)>
void unary(std::size_t count, const float* x, float* y) {
  std::size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) store(y + i, kApply(load(x + i)));
  if (i == count) return;
  store_first(y + i, kApply(load_first(x + i, count - i)), count - i);
}

// An input whose elements along a row are neighbours.
struct Along {
  Value at(std::size_t i) const { return load(from + i); }
  Value first(std::size_t i, std::size_t count) const { return load_first(from + i, count); }

  const float* from;
};

// One element for the whole row.
struct Repeated {
  Value at(std::size_t) const { return value; }
  Value first(std::size_t, std::size_t) const { return value; }

  Value value;
};

template <Value (*kApply)(Value, Value), typename A, typename B>
void binary_row(const A& a, const B& b, float* y, std::size_t count) {
  std::size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) store(y + i, kApply(a.at(i), b.at(i)));
  if (i == count) return;
  const std::size_t rest = count - i;
  store_first(y + i, kApply(a.first(i, rest), b.first(i, rest)), rest);
}

template <Value (*kApply)(Value, Value)>
void binary(const Broadcast& shape, const float* a, const float* b, float* y, Slice elements) {
  const BroadcastAxis last = shape.last();
  for_each_row(shape, elements,
               [&](std::size_t at_a, std::size_t at_b, std::size_t at, std::size_t count) {
                 const Along many_a{a + at_a}, many_b{b + at_b};
                 if (last.a == 0) {
                   binary_row<kApply>(Repeated{fill(a[at_a])}, many_b, y + at, count);
                 } else if (last.b == 0) {
                   binary_row<kApply>(many_a, Repeated{fill(b[at_b])}, y + at, count);
                 } else {
                   binary_row<kApply>(many_a, many_b, y + at, count);
                 }
               });
}
