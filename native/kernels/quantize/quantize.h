// quantize: float32 to codes of one byte on static grids, and back: real = scale * (code - zero).
//
//   quantize:   t = x / scale, rounded to float32; NaN counts as 0;
//               t = -zero if t < -zero, then 255 - zero if t > 255 - zero;
//               code = round(t) + zero, ties to even.
//   dequantize: x = scale * float(code - zero), rounded once.
// It is a division and not a product with 1 / scale, so that codes are those of QuantizeLinear of
// ONNX. Infinities give the first and the last code.
//
// Signed codes are 128 lower and so are their zero points: a byte holds the unsigned code with its
// highest bit inverted. Kernels know unsigned codes and the bits to invert.
//
// To add a kernel, write quantize_<isa>.cc and one row of kernels.inc. Dispatch, binding and tests
// all read kernels.inc; none of them changes.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/registry.h"
#include "base/threads.h"

namespace lamella {

// Elements that a kernel computes at a time; slices begin at a multiple of it.
inline constexpr std::size_t kQuantizeBlock = 16;

// The grids of the channels, which are the last axis of an array, repeated until blocks fit:
// element i has those at i % period. One grid for all elements is one channel.
// Shapes: scale, zero (period). Requires: scale positive and finite, zero whole, from 0 to 255.
struct Grids {
  std::size_t period;  // period_of(channels)
  const float* scale;
  const float* zero;
  std::uint8_t inverted;  // 0, or 128 for signed codes, whose zero points are given 128 higher
};

// The least multiple of the channels that is a multiple of kQuantizeBlock, too.
std::size_t period_of(std::size_t channels);

// Shapes: x, codes (elements); a slice of them is written.
using QuantizeFn = void (*)(const Grids& grids, const float* x, std::uint8_t* codes,
                            Slice elements);
using DequantizeFn = void (*)(const Grids& grids, const std::uint8_t* codes, float* x,
                              Slice elements);

struct QuantizeCalls {
  QuantizeFn quantize;
  DequantizeFn dequantize;
};

struct QuantizeKernel : Kernel {
  const QuantizeCalls* calls;
};

Span<QuantizeKernel> quantize_kernels();
const QuantizeKernel& quantize_select(IsaSet host);

#define LAMELLA_KERNEL(name, needs) extern const QuantizeCalls name;
#include "kernels/quantize/kernels.inc"
#undef LAMELLA_KERNEL

}  // namespace lamella
