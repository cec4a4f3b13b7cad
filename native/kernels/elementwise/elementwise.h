// elementwise: functions of each element of one float32 array, or of two that are broadcast.
//
// To add a kernel, write elementwise_<isa>.cc and one row of kernels.inc. To add an operation,
// write it once as a function of Value in kernels/math and add one row of operations.inc.
// Dispatch, binding and tests all read the two tables.
#pragma once

#include <cstddef>

#include "base/registry.h"
#include "base/threads.h"
#include "kernels/elementwise/broadcast.h"

namespace lamella {

// Shapes: x and y (count) float32; y may be x. Every NaN is written as 0x7fc00000.
using UnaryFn = void (*)(std::size_t count, const float* x, float* y);

// Shapes: a, b and y float32, as `shape` says; y may be an input that has all of its axes. Writes a
// slice of the elements of y.
using BinaryFn = void (*)(const Broadcast& shape, const float* a, const float* b, float* y,
                          Slice elements);

struct ElementwiseCalls {
#define LAMELLA_UNARY(name) UnaryFn name;
#define LAMELLA_BINARY(name) BinaryFn name;
#include "kernels/elementwise/operations.inc"
#undef LAMELLA_UNARY
#undef LAMELLA_BINARY
};

struct ElementwiseKernel : Kernel {
  const ElementwiseCalls* calls;
};

Span<ElementwiseKernel> elementwise_kernels();
const ElementwiseKernel& elementwise_select(IsaSet host);

#define LAMELLA_KERNEL(name, needs) extern const ElementwiseCalls name;
#include "kernels/elementwise/kernels.inc"
#undef LAMELLA_KERNEL

}  // namespace lamella
