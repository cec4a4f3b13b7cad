// softmax for any processor: the reference of the other kernels.
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

#include "kernels/math/shift.h"
#include "kernels/math/tree.h"
#include "kernels/softmax/softmax.h"

namespace lamella {
namespace {

#include "kernels/math/value_portable.h"
// What follows is the same for every Value.
#include "kernels/math/functions.h"

float maximum(std::size_t cols, const float* x) {
  float lanes[kLanes];
  for (float& lane : lanes) lane = -std::numeric_limits<float>::infinity();
  for (std::size_t col = 0; col < cols; ++col) {
    float& lane = lanes[col % kLanes];
    lane = greater_of(lane, x[col]);
  }
  return tree_max(lanes);
}

// Writes e^(x - top) and returns the sum.
float powers(std::size_t cols, const float* x, float top, float* y) {
  float lanes[kLanes] = {};
  for (std::size_t col = 0; col < cols; ++col) {
    const float power = exp(x[col] - top);
    lanes[col % kLanes] += power;
    store(y + col, power);
  }
  return tree_sum(lanes);
}

}  // namespace

void softmax_portable(std::size_t rows, std::size_t cols, const float* x, float* y) {
  for (std::size_t row = 0; row < rows; ++row, x += cols, y += cols) {
    const float sum = powers(cols, x, maximum(cols, x), y);
    for (std::size_t col = 0; col < cols; ++col) store(y + col, y[col] / sum);
  }
}

}  // namespace lamella
