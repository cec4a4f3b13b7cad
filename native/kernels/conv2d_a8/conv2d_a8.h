// conv2d_w{4,6,8}a8: a convolution of uint8 codes on one grid with signed weights, of any kernel,
// stride, dilation, padding and number of groups; channels last. kernels/static/epilogue.h says
// what follows the exact sums. A linear layer is a kernel of 1 x 1 on images of one pixel, one
// image for each token.
//
// A weight is signed and below 2^(bits-1) in magnitude, or -2^(bits-1); it is stored as the code
// weight + 2^(bits-1) in the tiles of kernels/linear_a8/layout.h. A group of rows has strips of 8
// of its own, and each tap of the kernel blocks of 32 channels of its own; what belongs to no
// channel is the weight 0. Places outside the input are codes equal to its zero point.
//
// To add a kernel, write conv2d_a8_<isa>.cc and one row of kernels.inc for each width. Dispatch,
// binding and tests all read kernels.inc; none of them changes.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/registry.h"
#include "base/threads.h"
#include "kernels/linear_a8/linear_a8.h"
#include "kernels/static/epilogue.h"
#include "kernels/static/window.h"

namespace lamella {

// The sizes of a weight: `rows` outputs and `cols` input channels in each of its groups.
struct Conv2dSize {
  std::size_t groups;
  std::size_t rows;
  std::size_t taps;
  std::size_t cols;
  int bits;

  std::size_t group_strips() const { return strips_of(rows); }
  std::size_t strips() const { return groups * group_strips(); }
  std::size_t strip_bytes() const { return taps * blocks_of(cols) * tile_bytes(bits); }
  // The rows of all strips, and 8 more, so that 16 of them may be read from the last strip on.
  std::size_t epilogue_rows() const { return strips() * kStripRows + kStripRows; }
};

// Shape: codes (strips, taps, blocks, tile_bytes(bits)), with blocks = blocks_of(cols).
struct Conv2dWeight {
  Conv2dSize size;
  const std::uint8_t* codes;
};

// Shapes: x (images, y.in, x.in, groups * cols), zeros (cols) filled with the input's zero point,
// residual and y (images, y.out, x.out, groups * rows); the epilogue's parameters are
// (epilogue_rows()), row r of a strip s at 8 * s + r. Requires taps <= kMostTaps, and sums that fit
// 32 bits: taps * cols * 255 * 2^(bits-1) + the largest int32 bias < 2^31.
struct Conv2dCall {
  const Conv2dWeight& weight;
  const Window& window;
  const Epilogue& epilogue;
  Source input;
  Finished output;
};

// Writes the outputs of a slice of positions (window.positions()) and of strips.
using Conv2dFn = void (*)(const Conv2dCall& call, Slice positions, Slice strips);

struct Conv2dKernel : Kernel {
  int bits;  // the width of the weights that it takes
  Conv2dFn run;
};

Span<Conv2dKernel> conv2d_a8_kernels();
const Conv2dKernel& conv2d_a8_select(int bits, IsaSet host);  // bits is 4, 6 or 8

#define LAMELLA_KERNEL(name, bits, needs) \
  void name(const Conv2dCall& call, Slice positions, Slice strips);
#include "kernels/conv2d_a8/kernels.inc"
#undef LAMELLA_KERNEL

// Writes the tiles of (groups * rows, taps, cols) codes below 2^bits, and the sum of the weights of
// each row. Shape: sum (epilogue_rows()), 0 where no row belongs.
void pack_conv2d(const Conv2dSize& size, const std::uint8_t* codes, std::uint8_t* tiles,
                 std::int32_t* sum);

}  // namespace lamella
