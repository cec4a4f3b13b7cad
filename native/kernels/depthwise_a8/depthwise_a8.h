// depthwise_w8a8: a convolution in which each channel of uint8 codes has one kernel of its own, of
// any size, stride, dilation and padding; channels last. kernels/static/epilogue.h says what
// follows the exact sums. Places outside the input are codes equal to its zero point.
//
// Weights are int8, stored for two taps at a time: (ceil(taps / 2), channels rounded up to a
// multiple of 16, 2), with 0 where there is no tap or channel. So one register has the two
// operands of a multiplication that adds neighbours.
//
// To add a kernel, write depthwise_a8_<isa>.cc and one row of kernels.inc. Dispatch, binding and
// tests all read kernels.inc; none of them changes.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/registry.h"
#include "base/threads.h"
#include "kernels/static/epilogue.h"
#include "kernels/static/window.h"

namespace lamella {

// Channels that a kernel computes at a time.
inline constexpr std::size_t kDepthwiseBlock = 16;

struct DepthwiseSize {
  std::size_t channels;
  std::size_t taps;

  std::size_t pairs() const { return taps / 2 + taps % 2; }
  std::size_t stored_channels() const {
    return (channels + kDepthwiseBlock - 1) / kDepthwiseBlock * kDepthwiseBlock;
  }
  std::size_t pair_bytes() const { return 2 * stored_channels(); }
};

struct DepthwiseWeight {
  DepthwiseSize size;
  const std::int8_t* weights;
};

// Shapes: x (images, y.in, x.in, channels), zeros (channels) filled with the input's zero point,
// residual and y (images, y.out, x.out, channels); the epilogue's parameters are
// (stored_channels()). Requires taps <= kMostTaps, and sums that fit 32 bits:
// taps * 255 * 128 + the largest int32 bias < 2^31.
struct DepthwiseCall {
  const DepthwiseWeight& weight;
  const Window& window;
  const Epilogue& epilogue;
  Source input;
  Finished output;
};

// Writes the outputs of a slice of positions (window.positions()).
using DepthwiseFn = void (*)(const DepthwiseCall& call, Slice positions);

struct DepthwiseKernel : Kernel {
  DepthwiseFn run;
};

Span<DepthwiseKernel> depthwise_a8_kernels();
const DepthwiseKernel& depthwise_a8_select(IsaSet host);

#define LAMELLA_KERNEL(name, needs) void name(const DepthwiseCall& call, Slice positions);
#include "kernels/depthwise_a8/kernels.inc"
#undef LAMELLA_KERNEL

// Writes (channels, taps) codes, weight + 128, in the order of the kernels, and the sum of the
// weights of each channel. Shape: sum (stored_channels()), 0 where no channel belongs.
void pack_depthwise(const DepthwiseSize& size, const std::uint8_t* codes, std::int8_t* weights,
                    std::int32_t* sum);

}  // namespace lamella
