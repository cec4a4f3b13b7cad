// depthwise_f32 for any processor: the reference of the other kernels.
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

#include "kernels/depthwise_f32/depthwise_f32.h"
#include "kernels/math/shift.h"

namespace lamella {
namespace {

#include "kernels/math/value_portable.h"

// One output before bias and bounds; `line` counts the rows of all images.
float sum_at(const DepthwiseF32Call& call, std::size_t line, std::size_t col, std::size_t channel) {
  const Window& window = call.window;
  const std::size_t row = line % window.y.out, image = line / window.y.out;
  const Slice down = window.y.taps(row), across = window.x.taps(col);
  float sum = 0;
  for (std::size_t ky = down.begin; ky < down.end; ++ky) {
    for (std::size_t kx = across.begin; kx < across.end; ++kx) {
      const std::size_t from = image * window.y.in + window.y.input(row, ky);
      const std::size_t pixel = from * window.x.in + window.x.input(col, kx);
      const std::size_t tap = ky * window.x.kernel + kx;
      sum = std::fma(call.weight[tap * call.channels + channel],
                     call.x[pixel * call.channels + channel], sum);
    }
  }
  return sum;
}

}  // namespace

void depthwise_f32_portable(const DepthwiseF32Call& call, Slice rows) {
  for (std::size_t line = rows.begin; line < rows.end; ++line) {
    for (std::size_t col = 0; col < call.window.x.out; ++col) {
      float* y = call.y + (line * call.window.x.out + col) * call.channels;
      for (std::size_t channel = 0; channel < call.channels; ++channel) {
        float sum = sum_at(call, line, col, channel);
        if (call.bias != nullptr) sum += call.bias[channel];
        store(y + channel, lesser_of(call.high, greater_of(call.low, sum)));
      }
    }
  }
}

}  // namespace lamella
