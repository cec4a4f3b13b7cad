// pool2d: the average or the largest of a window of each channel, for float32 images in NHWC.
//
// Over the taps inside the image, ky and then kx from first to last:
//   average: s = s + x from 0 on, then y = s / float(count of these taps); or of all taps of the
//            window, where padding counts as zeros;
//   maximum: m = x > m ? x : m from -infinity on, so that a NaN is passed over.
// A window that is the whole image gives the global average. Every kernel gives these bits; a NaN
// is written as 0x7fc00000.
//
// To add a kernel, write pool2d_<isa>.cc and one row of kernels.inc. Dispatch, binding and tests
// all read kernels.inc; none of them changes.
#pragma once

#include <cstddef>

#include "base/registry.h"
#include "base/threads.h"
#include "kernels/window/window.h"

namespace lamella {

enum class Pool { kAverage, kAverageWithPadding, kMaximum };

// Shapes: x (images, y.in, x.in, channels), y (images, y.out, x.out, channels).
// Requires: every window has a tap inside the image.
struct PoolCall {
  Window window;
  Pool pool;
  std::size_t channels;
  const float* x;
  float* y;
};

// Writes a slice of window.rows().
using PoolFn = void (*)(const PoolCall& call, Slice rows);

struct PoolKernel : Kernel {
  PoolFn run;
};

Span<PoolKernel> pool2d_kernels();
const PoolKernel& pool2d_select(IsaSet host);

#define LAMELLA_KERNEL(name, needs) void name(const PoolCall& call, Slice rows);
#include "kernels/pool2d/kernels.inc"
#undef LAMELLA_KERNEL

}  // namespace lamella
