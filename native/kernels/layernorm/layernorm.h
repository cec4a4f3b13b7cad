// layernorm: y[i] = (x[i] - mean) / sqrt(variance + eps) * weight[i] + bias[i] along each row.
//
// To add a kernel, write layernorm_<isa>.cc and one row of kernels.inc. Dispatch, binding and tests
// all read kernels.inc; none of them changes.
#pragma once

#include <cstddef>

#include "base/registry.h"

namespace lamella {

struct LayernormParameters {
  const float* weight;  // (cols)
  const float* bias;    // (cols)
  float eps;            // 0 or more
};

// Shapes: x and y (rows, cols) float32; y may be x. Every row, sums in 16 lanes and the tree of
// math/tree.h:
//   m = (sum of x[i]) / cols, d[i] = x[i] - m, v = (sum of d[i]^2 by fused multiply-add) / cols,
//   r = 1 / sqrt(v + eps), y[i] = fma(d[i] * r, weight[i], bias[i]).
// Requires: cols <= 2^24, so that it is exact as float32.
using LayernormFn = void (*)(std::size_t rows, std::size_t cols, const float* x,
                             LayernormParameters parameters, float* y);

struct LayernormKernel : Kernel {
  LayernormFn run;
};

Span<LayernormKernel> layernorm_kernels();
const LayernormKernel& layernorm_select(IsaSet host);

#define LAMELLA_KERNEL(name, needs)                                                             \
  void name(std::size_t rows, std::size_t cols, const float* x, LayernormParameters parameters, \
            float* y);
#include "kernels/layernorm/kernels.inc"
#undef LAMELLA_KERNEL

}  // namespace lamella
