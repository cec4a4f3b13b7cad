// transpose: the elements of an array with its axes in another order, for elements of 1, 2 or 4
// bytes, whose bits are moved as they are.
//
// Axis i of the output y is axis order[i] of the input x, as numpy.transpose has it. A plan merges
// axes that stay neighbours and leaves out those of one element. What is left are planes in a loop
// over the other axes: y[line][i] = x[line * line.from + i * run.from], where i counts the last
// axis of y. Where this is the last axis of x, too, a line is copied whole; otherwise `line` is the
// last axis of x, and the plane is turned, in squares that fit registers. So an exchange of the two
// last axes is one turned plane for each place of the others, and so is every order that ends in
// another axis, as NCHW to NHWC and back.
//
// To add a kernel, write transpose_<isa>.cc and one row of kernels.inc. Dispatch, binding and tests
// all read kernels.inc; none of them changes.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/axes.h"
#include "base/registry.h"
#include "base/threads.h"

namespace lamella {

// Lines of a plane that are copied at a time.
inline constexpr std::size_t kTransposeLines = 64;

// An axis of the loop; `from` and `to` are elements from one place to the next in x and y.
struct TransposeAxis {
  std::size_t size;
  std::size_t from;
  std::size_t to;
};

struct TransposePlan {
  std::size_t bytes;  // of an element: 1, 2 or 4
  std::size_t outer;  // how many of `axes` there are
  TransposeAxis axes[kMostAxes];
  TransposeAxis line;
  TransposeAxis run;  // the last axis of y; a line has so many elements

  std::size_t blocks() const { return (line.size + kTransposeLines - 1) / kTransposeLines; }
  // Blocks of kTransposeLines lines in all planes: what is split between threads.
  std::size_t units() const {
    std::size_t count = blocks();
    for (std::size_t i = 0; i < outer; ++i) count *= axes[i].size;
    return count;
  }
};

// The plan for an input of these sizes. Requires: `order` is a permutation of as many axes, at most
// kMostAxes.
TransposePlan plan_transpose(std::size_t bytes, Span<std::size_t> sizes, const std::size_t* order);

struct TransposeCall {
  const TransposePlan& plan;
  const std::uint8_t* x;
  std::uint8_t* y;
};

// Writes a slice of plan.units().
using TransposeFn = void (*)(const TransposeCall& call, Slice units);

struct TransposeKernel : Kernel {
  TransposeFn run;
};

Span<TransposeKernel> transpose_kernels();
const TransposeKernel& transpose_select(IsaSet host);

#define LAMELLA_KERNEL(name, needs) void name(const TransposeCall& call, Slice units);
#include "kernels/transpose/kernels.inc"
#undef LAMELLA_KERNEL

}  // namespace lamella
