// layernorm for any processor: the reference of the other kernels.
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

#include "kernels/layernorm/layernorm.h"
#include "kernels/math/shift.h"
#include "kernels/math/tree.h"

namespace lamella {
namespace {

#include "kernels/math/value_portable.h"

float sum(std::size_t cols, const float* x) {
  float lanes[kLanes] = {};
  for (std::size_t col = 0; col < cols; ++col) lanes[col % kLanes] += x[col];
  return tree_sum(lanes);
}

float sum_of_squares(std::size_t cols, const float* x, float mean) {
  float lanes[kLanes] = {};
  for (std::size_t col = 0; col < cols; ++col) {
    float& lane = lanes[col % kLanes];
    const float difference = x[col] - mean;
    lane = fused(difference, difference, lane);
  }
  return tree_sum(lanes);
}

}  // namespace

void layernorm_portable(std::size_t rows, std::size_t cols, const float* x,
                        LayernormParameters parameters, float* y) {
  const auto count = static_cast<float>(cols);
  for (std::size_t row = 0; row < rows; ++row, x += cols, y += cols) {
    const float mean = sum(cols, x) / count;
    const float variance = sum_of_squares(cols, x, mean) / count;
    const float scale = 1.0f / std::sqrt(variance + parameters.eps);
    for (std::size_t col = 0; col < cols; ++col) {
      const float unit = (x[col] - mean) * scale;
      store(y + col, fused(unit, parameters.weight[col], parameters.bias[col]));
    }
  }
}

}  // namespace lamella
