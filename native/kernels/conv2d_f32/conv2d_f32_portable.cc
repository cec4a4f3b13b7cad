// conv2d_f32 for any processor: the reference of the other kernels.
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

#include "kernels/conv2d_f32/conv2d_f32.h"
#include "kernels/math/shift.h"

namespace lamella {
namespace {

#include "kernels/math/value_portable.h"

struct Place {
  std::size_t image;
  std::size_t row;
  std::size_t col;
};

// One output before bias and bounds.
float sum_at(const Conv2dF32Call& call, const Place& place, std::size_t output) {
  const Window& window = call.window;
  const std::size_t inputs = call.group_inputs(), outputs = call.group_outputs();
  const std::size_t group = output / outputs, row = output % outputs;
  const std::size_t strip = group * strips_of(outputs) + row / kStripRows;
  const float* weight = call.weight + strip * call.products() * kStripRows + row % kStripRows;
  const float* image = call.x + place.image * window.y.in * window.x.in * call.channels;
  const Slice down = window.y.taps(place.row), across = window.x.taps(place.col);
  float sum = 0;
  for (std::size_t ky = down.begin; ky < down.end; ++ky) {
    for (std::size_t kx = across.begin; kx < across.end; ++kx) {
      const std::size_t line = window.y.input(place.row, ky) * window.x.in;
      const float* x = image + (line + window.x.input(place.col, kx)) * call.channels;
      const float* tap = weight + (ky * window.x.kernel + kx) * inputs * kStripRows;
      for (std::size_t c = 0; c < inputs; ++c) {
        sum = std::fma(tap[c * kStripRows], x[group * inputs + c], sum);
      }
    }
  }
  return sum;
}

}  // namespace

void conv2d_f32_portable(const Conv2dF32Call& call, Slice rows) {
  const Window& window = call.window;
  for (std::size_t row = rows.begin; row < rows.end; ++row) {
    for (std::size_t col = 0; col < window.x.out; ++col) {
      float* y = call.y + (row * window.x.out + col) * call.outputs;
      for (std::size_t output = 0; output < call.outputs; ++output) {
        float sum = sum_at(call, {row / window.y.out, row % window.y.out, col}, output);
        if (call.bias != nullptr) sum += call.bias[output];
        store(y + output, lesser_of(call.high, greater_of(call.low, sum)));
      }
    }
  }
}

}  // namespace lamella
