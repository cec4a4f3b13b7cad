// softmax: y[i] = e^(x[i] - m) / s along each row, with m the maximum and s the sum of the powers.
//
// To add a kernel, write softmax_<isa>.cc and one row of kernels.inc. Dispatch, binding and tests
// all read kernels.inc; none of them changes.
#pragma once

#include <cstddef>

#include "base/registry.h"

namespace lamella {

// Shapes: x and y (rows, cols) float32; y may be x. Every row:
//   m = the maximum, p[i] = exp(x[i] - m), s = the sum of p in 16 lanes and the tree of
//   math/tree.h, y[i] = p[i] / s.
// A row that holds NaN or +inf, or only -inf, becomes NaN; elsewhere -inf becomes 0.
using SoftmaxFn = void (*)(std::size_t rows, std::size_t cols, const float* x, float* y);

struct SoftmaxKernel : Kernel {
  SoftmaxFn run;
};

Span<SoftmaxKernel> softmax_kernels();
const SoftmaxKernel& softmax_select(IsaSet host);

#define LAMELLA_KERNEL(name, needs) \
  void name(std::size_t rows, std::size_t cols, const float* x, float* y);
#include "kernels/softmax/kernels.inc"
#undef LAMELLA_KERNEL

}  // namespace lamella
