// What turns the exact sums of a layer on static codes into its output.
//
// The input of such a layer is uint8 codes on one grid, real = scale * (code - zero), its weights
// are signed integers with one scale per row. With sum = the sum of weight * (input code - input
// zero) + an int32 bias, exact, each row gives, every operation rounded to float32:
//   t = fma(float(sum), step, bias);
//   with a residual, t = fma(float(residual code - residual zero), residual step, t);
//   with an activation f, t = f(t) * unit;
//   t = low if t < low, then high if t > high.
// The output is t, or as a code round(t) + zero, ties to even; then low and high are whole numbers
// and a code is never outside [low + zero, high + zero], which clips and applies ReLU and ReLU6
// at no cost.
//
// For an output in codes, step, bias and residual step are in units of the output's scale:
//   step = input scale * weight scale / output scale, bias = float bias / output scale,
//   residual step = residual scale / output scale,
// computed in float64 from the left and rounded once. For float32, without the division. With an
// activation, which needs real numbers, without the division, too; then unit = 1 / output scale,
// rounded once, or 1 for float32. f is one of kernels/math/activations.h, computed in float32 by
// the same operations on every processor, because a table of codes would round t to a grid first.
// All are finite, so that t is never NaN. The residual is uint8 codes with a grid of its own,
// because in a network of such layers the other branch is stored as codes too.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/math/activation.h"

namespace lamella {

// Parameters of rows, of which any 16 from a strip's first on may be read.
inline constexpr std::size_t kEpilogueRows = 16;

// offset[row] = int32 bias - input zero * sum[row], where sum[row] is the sum of the row's weights,
// so that kernels multiply input codes as they are: sum = dot + offset. Those that take input codes
// 128 lower, for want of products of signed and unsigned bytes, add 128 * sum[row].
struct Epilogue {
  const std::int32_t* offset;
  const std::int32_t* sum;
  const float* step;
  const float* bias;
  float low;
  float high;
  bool codes;  // whether the output is uint8 and not float32
  std::int32_t zero;
  float residual_step;
  std::int32_t residual_zero;
  Activation activation;
  float unit;
};

// Where finished rows go: uint8 or float32 as the epilogue says. The residual has the same place
// in its array, which is null where there is none.
struct Finished {
  const std::uint8_t* residual;
  void* y;
};

}  // namespace lamella
