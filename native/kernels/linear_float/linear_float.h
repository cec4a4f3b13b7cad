// linear_f32, linear_f16, linear_w4f32 and linear_w8f32: y[t][r] = f(sum over c of w[r][c] *
// x[t][c] + bias[r]) with activations that stay float32.
//
// Weights are float32, float16, which widens exactly, or codes of 4 or 8 bits in the tiles of
// kernels/linear_a8, where w = scale * float(code - zero) is rounded once. An output is
//   y = fma(w[r][c], x[t][c], y) for c from the first column to the last, starting at 0;
// then y + bias, then the activation. Every kernel gives these bits; a NaN is 0x7fc00000.
//
// To add a kernel, write linear_float_<isa>.cc and one row of kernels.inc for each kind of weight.
// Dispatch, binding and tests all read kernels.inc; none of them changes.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/registry.h"
#include "base/threads.h"
#include "kernels/linear_a8/linear_a8.h"
#include "kernels/math/activation.h"

namespace lamella {

enum class FloatKind { kF32, kF16, kW4, kW8 };

// A weight of one kind; what belongs to another kind is null. Shapes: floats and halves (float16
// bits) (strips, cols, 8), as pack_grids writes them, so that a column of 8 rows is one load.
struct FloatWeight {
  std::size_t rows;
  std::size_t cols;
  const float* floats;
  const std::uint16_t* halves;
  const LinearWeight* codes;
};

// Shapes: x (tokens, weight.cols), bias (weight.rows) or null, y (tokens, weight.rows).
struct LinearFloatCall {
  FloatWeight weight;
  std::size_t tokens;
  const float* x;
  const float* bias;
  Activation activation;
  float* y;
};

// Writes the outputs of a slice of strips for every token.
using LinearFloatFn = void (*)(const LinearFloatCall& call, Slice strips);

struct LinearFloatKernel : Kernel {
  FloatKind kind;  // of the weights that it takes
  LinearFloatFn run;
};

Span<LinearFloatKernel> linear_float_kernels();
const LinearFloatKernel& linear_float_select(FloatKind kind, IsaSet host);

#define LAMELLA_KERNEL(name, kind, needs) void name(const LinearFloatCall& call, Slice strips);
#include "kernels/linear_float/kernels.inc"
#undef LAMELLA_KERNEL

}  // namespace lamella
