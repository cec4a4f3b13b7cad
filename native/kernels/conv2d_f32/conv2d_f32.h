// conv2d_f32: convolution of float32 images in NHWC, with groups, stride, padding and dilation.
//
// An output is
//   y = fma(w[ky][kx][c], x[iy][ix][c], y) for ky, kx and c from first to last, starting at 0,
// without the taps that lie outside the image; then y + bias, then y kept between `low` and `high`.
// Every kernel gives these bits; a NaN stays one and is written as 0x7fc00000.
//
// To add a kernel, write conv2d_f32_<isa>.cc and one row of kernels.inc. Dispatch, binding and
// tests all read kernels.inc; none of them changes.
#pragma once

#include <cstddef>

#include "base/registry.h"
#include "base/threads.h"
#include "kernels/linear_a8/linear_a8.h"
#include "kernels/window/window.h"

namespace lamella {

// Shapes, with strips = strips_of(outputs / groups) and inputs = channels / groups:
//   x (images, y.in, x.in, channels), y (images, y.out, x.out, outputs), bias (outputs) or null,
//   weight (groups, strips, y.kernel, x.kernel, inputs, 8), 0 where a strip has no output.
// Group g has the inputs from g * inputs and the outputs from g * outputs / groups on.
struct Conv2dF32Call {
  Window window;
  std::size_t groups;
  std::size_t channels;
  std::size_t outputs;
  const float* x;
  const float* weight;
  const float* bias;
  float low;
  float high;
  float* y;

  std::size_t group_inputs() const { return channels / groups; }
  std::size_t group_outputs() const { return outputs / groups; }
  // Columns of the weight: the products of an output.
  std::size_t products() const { return window.y.kernel * window.x.kernel * group_inputs(); }
};

// Writes a slice of window.rows().
using Conv2dF32Fn = void (*)(const Conv2dF32Call& call, Slice rows);

struct Conv2dF32Kernel : Kernel {
  Conv2dF32Fn run;
};

Span<Conv2dF32Kernel> conv2d_f32_kernels();
const Conv2dF32Kernel& conv2d_f32_select(IsaSet host);

#define LAMELLA_KERNEL(name, needs) void name(const Conv2dF32Call& call, Slice rows);
#include "kernels/conv2d_f32/kernels.inc"
#undef LAMELLA_KERNEL

}  // namespace lamella
