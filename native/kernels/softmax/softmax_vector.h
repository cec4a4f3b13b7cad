// A fragment: softmax, 16 columns at a time. Included after kernels/math/value_<isa>.h.
#include "kernels/math/functions.h"

inline float maximum(std::size_t cols, const float* x) {
  const Value lowest = fill(-std::numeric_limits<float>::infinity());
  Value top = lowest;
  std::size_t col = 0;
  for (; col + kLanes <= cols; col += kLanes) top = greater_of(top, load(x + col));
  if (col < cols) {
    const Value last = load_first(x + col, cols - col);
    top = greater_of(top, first_of(last, cols - col, lowest));
  }
  float lanes[kLanes];
  spill(lanes, top);
  return tree_max(lanes);
}

// Writes e^(x - top) and returns the sum.
inline float powers(std::size_t cols, const float* x, float top, float* y) {
  const Value shift = fill(top);
  Value sum = fill(0.0f);
  std::size_t col = 0;
  for (; col + kLanes <= cols; col += kLanes) {
    const Value power = exp(sub(load(x + col), shift));
    sum = add(sum, power);
    store(y + col, power);
  }
  if (col < cols) {
    const Value power = exp(sub(load_first(x + col, cols - col), shift));
    sum = add(sum, first_of(power, cols - col, fill(0.0f)));
    store_first(y + col, power, cols - col);
  }
  float lanes[kLanes];
  spill(lanes, sum);
  return tree_sum(lanes);
}

inline void divide(std::size_t cols, float sum, float* y) {
  std::size_t col = 0;
  for (; col + kLanes <= cols; col += kLanes) store(y + col, div(load(y + col), fill(sum)));
  if (col == cols) return;
  store_first(y + col, div(load_first(y + col, cols - col), fill(sum)), cols - col);
}

inline void run(std::size_t rows, std::size_t cols, const float* x, float* y) {
  for (std::size_t row = 0; row < rows; ++row, x += cols, y += cols) {
    divide(cols, powers(cols, x, maximum(cols, x), y), y);
  }
}
