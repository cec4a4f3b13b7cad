// What turns the exact sums of a layer on static codes into its output.
//
// The input of such a layer is uint8 codes on one grid, real = scale * (code - zero), its weights
// are signed integers with one scale per row. With sum = the sum of weight * (input code - input
// zero) + an int32 bias, exact, each row gives, every operation rounded to float32:
//   t = fma(float(sum), step, bias);
//   with a residual, t = fma(float(residual code - residual zero), residual step, t);
//   t = low if t < low, then high if t > high.
// The output is t, or as a code round(t) + zero, ties to even; then low and high are whole numbers
// and a code is never outside [low + zero, high + zero], which clips and applies ReLU and ReLU6.
//
// For an output in codes, step, bias and residual step are in units of the output's scale:
//   step = input scale * weight scale / output scale, bias = float bias / output scale,
//   residual step = residual scale / output scale,
// computed in float64 from the left and rounded once. For float32, without the division. All are
// finite, so that t is never NaN. The residual is uint8 codes with a grid of its own, because in a
// network of such layers the other branch is stored as codes too.
#pragma once

#include <cstddef>
#include <cstdint>

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
};

// Where finished rows go: uint8 or float32 as the epilogue says. The residual has the same place
// in its array, which is null where there is none.
struct Finished {
  const std::uint8_t* residual;
  void* y;
};

}  // namespace lamella
