// linear_float for any processor: the reference of the other kernels.
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

#include "base/half.h"
#include "kernels/linear_float/linear_float.h"
#include "kernels/math/shift.h"

namespace lamella {
namespace {

#include "kernels/math/value_portable.h"
// What follows is the same for every Value.
#include "kernels/math/activate.h"

float coded_weight(const LinearWeight& weight, std::size_t row, std::size_t col) {
  const std::size_t strip = row / kStripRows, block = col / kBlockCols;
  const std::uint8_t* tile = weight.tile(strip, block);
  std::int32_t code = 0;
  visit_code(weight.bits, row % kStripRows, col % kBlockCols,
             [&](std::size_t byte, int shift, int from, int width) {
               code |= (tile[byte] >> shift & ((1 << width) - 1)) << from;
             });
  const std::size_t grid = weight.grid_of_col(strip, col) + row % kStripRows;
  const std::int32_t zero = weight.zero == nullptr ? 1 << (weight.bits - 1) : weight.zero[grid];
  const float scale =
      weight.row_scale == nullptr ? half_to_float(weight.half_scale[grid]) : weight.row_scale[grid];
  return scale * static_cast<float>(code - zero);
}

float weight_at(const FloatWeight& weight, std::size_t row, std::size_t col) {
  if (weight.codes != nullptr) return coded_weight(*weight.codes, row, col);
  const std::size_t at = (row / kStripRows * weight.cols + col) * kStripRows + row % kStripRows;
  return weight.floats != nullptr ? weight.floats[at] : half_to_float(weight.halves[at]);
}

void run_token(const LinearFloatCall& call, std::size_t row, std::size_t token) {
  const FloatWeight& weight = call.weight;
  float sum = 0;
  for (std::size_t col = 0; col < weight.cols; ++col) {
    sum = std::fma(weight_at(weight, row, col), call.x[token * weight.cols + col], sum);
  }
  if (call.bias != nullptr) sum += call.bias[row];
  store(call.y + token * weight.rows + row, activate(call.activation, sum));
}

void run(const LinearFloatCall& call, Slice strips) {
  for (std::size_t row = strips.begin * kStripRows;
       row < strips.end * kStripRows && row < call.weight.rows; ++row) {
    for (std::size_t token = 0; token < call.tokens; ++token) run_token(call, row, token);
  }
}

}  // namespace

void linear_f32_portable(const LinearFloatCall& call, Slice strips) { run(call, strips); }
void linear_f16_portable(const LinearFloatCall& call, Slice strips) { run(call, strips); }
void linear_w4f32_portable(const LinearFloatCall& call, Slice strips) { run(call, strips); }
void linear_w8f32_portable(const LinearFloatCall& call, Slice strips) { run(call, strips); }

}  // namespace lamella
