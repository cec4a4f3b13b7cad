// rope: rotates each head of each token by the angles of its position (rotary embedding).
//
// To add a kernel, write rope_<isa>.cc and one row of kernels.inc. Dispatch, binding and tests all
// read kernels.inc; none of them changes.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/registry.h"

namespace lamella {

struct RopeShape {
  std::size_t tokens;
  std::size_t heads;
  std::size_t half;  // pairs of a head
};

// Shapes: cosine and sine (any number of positions, half), position (tokens).
struct RopeTables {
  const float* cosine;
  const float* sine;
  const std::int32_t* position;  // the row of each token in the tables
};

// Shapes: x and y (tokens, heads, 2 * half) float32; y may be x. Pair i of a head is its elements
// i and half + i, as Llama has them. With c and s those of the position and of pair i:
//   y[i] = fma(-x[half + i], s, x[i] * c), y[half + i] = fma(x[i], s, x[half + i] * c).
using RopeFn = void (*)(RopeShape shape, const float* x, RopeTables tables, float* y);

struct RopeKernel : Kernel {
  RopeFn run;
};

Span<RopeKernel> rope_kernels();
const RopeKernel& rope_select(IsaSet host);

#define LAMELLA_KERNEL(name, needs) \
  void name(RopeShape shape, const float* x, RopeTables tables, float* y);
#include "kernels/rope/kernels.inc"
#undef LAMELLA_KERNEL

}  // namespace lamella
