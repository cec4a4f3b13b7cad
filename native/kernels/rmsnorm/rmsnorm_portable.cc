// rmsnorm for any processor: the reference of the other kernels.
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

#include "kernels/math/shift.h"
#include "kernels/math/tree.h"
#include "kernels/rmsnorm/rmsnorm.h"

namespace lamella {
namespace {

#include "kernels/math/value_portable.h"

float sum_of_squares(std::size_t cols, const float* x) {
  float lanes[kLanes] = {};
  for (std::size_t col = 0; col < cols; ++col) {
    float& lane = lanes[col % kLanes];
    lane = fused(x[col], x[col], lane);
  }
  return tree_sum(lanes);
}

}  // namespace

void rmsnorm_portable(std::size_t rows, std::size_t cols, const float* x,
                      RmsnormParameters parameters, float* y) {
  for (std::size_t row = 0; row < rows; ++row, x += cols, y += cols) {
    const float mean = sum_of_squares(cols, x) / static_cast<float>(cols);
    const float scale = 1.0f / std::sqrt(mean + parameters.eps);
    for (std::size_t col = 0; col < cols; ++col) {
      store(y + col, x[col] * scale * parameters.weight[col]);
    }
  }
}

}  // namespace lamella
