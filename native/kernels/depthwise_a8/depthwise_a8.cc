#include "kernels/depthwise_a8/depthwise_a8.h"

#include <algorithm>

namespace lamella {
namespace {

constexpr DepthwiseKernel kKernels[] = {
#define LAMELLA_KERNEL(name, needs) {{#name, needs}, &name},
#include "kernels/depthwise_a8/kernels.inc"
#undef LAMELLA_KERNEL
};

}  // namespace

Span<DepthwiseKernel> depthwise_a8_kernels() { return kKernels; }

const DepthwiseKernel& depthwise_a8_select(IsaSet host) { return select_kernel(kKernels, host); }

void pack_depthwise(const DepthwiseSize& size, const std::uint8_t* codes, std::int8_t* weights,
                    std::int32_t* sum) {
  std::fill_n(weights, size.pairs() * size.pair_bytes(), std::int8_t{0});
  std::fill_n(sum, size.stored_channels(), 0);
  for (std::size_t channel = 0; channel < size.channels; ++channel) {
    for (std::size_t tap = 0; tap < size.taps; ++tap) {
      const int weight = codes[channel * size.taps + tap] - 128;
      weights[tap / 2 * size.pair_bytes() + 2 * channel + tap % 2] =
          static_cast<std::int8_t>(weight);
      sum[channel] += weight;
    }
  }
}

}  // namespace lamella
