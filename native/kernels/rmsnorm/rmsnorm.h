// rmsnorm: y[i] = x[i] / sqrt(mean of x^2 + eps) * weight[i] along each row.
//
// To add a kernel, write rmsnorm_<isa>.cc and one row of kernels.inc. Dispatch, binding and tests
// all read kernels.inc; none of them changes.
#pragma once

#include <cstddef>

#include "base/registry.h"

namespace lamella {

struct RmsnormParameters {
  const float* weight;  // (cols)
  float eps;            // 0 or more
};

// Shapes: x and y (rows, cols) float32; y may be x. Every row:
//   s = the sum of x[i]^2 by fused multiply-add in 16 lanes and the tree of math/tree.h,
//   r = 1 / sqrt(s / cols + eps), y[i] = (x[i] * r) * weight[i].
// Where s overflows, r is 0.
// Requires: cols <= 2^24, so that it is exact as float32.
using RmsnormFn = void (*)(std::size_t rows, std::size_t cols, const float* x,
                           RmsnormParameters parameters, float* y);

struct RmsnormKernel : Kernel {
  RmsnormFn run;
};

Span<RmsnormKernel> rmsnorm_kernels();
const RmsnormKernel& rmsnorm_select(IsaSet host);

#define LAMELLA_KERNEL(name, needs)                                                           \
  void name(std::size_t rows, std::size_t cols, const float* x, RmsnormParameters parameters, \
            float* y);
#include "kernels/rmsnorm/kernels.inc"
#undef LAMELLA_KERNEL

}  // namespace lamella
