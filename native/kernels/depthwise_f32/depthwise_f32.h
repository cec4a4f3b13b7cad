// depthwise_f32: convolution of float32 images in NHWC, each channel with a window of its own.
//
// An output is
//   y = fma(w[ky][kx], x[iy][ix], y) for ky and kx from first to last, starting at 0,
// without the taps that lie outside the image; then y + bias, then y kept between `low` and `high`.
// Every kernel gives these bits; a NaN stays one and is written as 0x7fc00000.
//
// To add a kernel, write depthwise_f32_<isa>.cc and one row of kernels.inc. Dispatch, binding and
// tests all read kernels.inc; none of them changes.
#pragma once

#include <cstddef>

#include "base/registry.h"
#include "base/threads.h"
#include "kernels/window/window.h"

namespace lamella {

// Shapes: x (images, y.in, x.in, channels), weight (y.kernel, x.kernel, channels), bias (channels)
// or null, y (images, y.out, x.out, channels).
struct DepthwiseF32Call {
  Window window;
  std::size_t channels;
  const float* x;
  const float* weight;
  const float* bias;
  float low;
  float high;
  float* y;
};

// Writes a slice of window.rows().
using DepthwiseF32Fn = void (*)(const DepthwiseF32Call& call, Slice rows);

struct DepthwiseF32Kernel : Kernel {
  DepthwiseF32Fn run;
};

Span<DepthwiseF32Kernel> depthwise_f32_kernels();
const DepthwiseF32Kernel& depthwise_f32_select(IsaSet host);

#define LAMELLA_KERNEL(name, needs) void name(const DepthwiseF32Call& call, Slice rows);
#include "kernels/depthwise_f32/kernels.inc"
#undef LAMELLA_KERNEL

}  // namespace lamella
