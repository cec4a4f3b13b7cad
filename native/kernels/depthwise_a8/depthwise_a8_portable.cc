// depthwise_a8 for any processor: the reference of the other kernels.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "kernels/depthwise_a8/depthwise_a8.h"
#include "kernels/math/shift.h"

namespace lamella {
namespace {

#include "kernels/math/value_portable.h"
#include "kernels/static/lanes_portable.h"
// What follows is the same for every Value.
#include "kernels/static/epilogue_vector.h"

std::int32_t sum_channel(const DepthwiseCall& call, const std::uint8_t* const* inputs,
                         std::size_t channel) {
  const DepthwiseSize& size = call.weight.size;
  const std::size_t chunk = chunk_of(size.taps);
  std::int32_t sum = 0;
  for (std::size_t tap = 0; tap < size.taps; ++tap) {
    const std::size_t at = tap / 2 * size.pair_bytes() + 2 * channel + tap % 2;
    sum += call.weight.weights[at] * inputs[tap * chunk][channel];
  }
  return sum;
}

}  // namespace

void depthwise_w8a8_portable(const DepthwiseCall& call, Slice positions) {
  const std::uint8_t* inputs[kMostPointers];
  const std::size_t channels = call.weight.size.channels;
  const std::size_t chunk = chunk_of(call.weight.size.taps);
  for (std::size_t first = positions.begin; first < positions.end; first += chunk) {
    const std::size_t end = std::min(first + chunk, positions.end);
    point(call.window, call.input, {first, end}, chunk, inputs);
    for (std::size_t at = first; at < end; ++at) {
      for (std::size_t channel = 0; channel < channels; ++channel) {
        const std::int32_t sum = sum_channel(call, inputs + (at - first), channel);
        const Part part{channel, 1, at * channels + channel, channels, 1};
        finish<0>(call.epilogue, part, &sum, call.output);
      }
    }
  }
}

}  // namespace lamella
