// Cases of linear_float, sparse_linear_a8 and the float operations on images for probe_vectors.cc.
#pragma once

#include "kernels/conv2d_f32/conv2d_f32.h"
#include "kernels/depthwise_f32/depthwise_f32.h"
#include "kernels/linear_float/linear_float.h"
#include "kernels/pool2d/pool2d.h"
#include "vectors_case.h"
#include "vectors_static.h"

namespace lamella::vectors {

// Shape: tokens, cols, rows, group, activation.
template <FloatKind kKind>
void run_linear_float(const Case& one) {
  const std::size_t tokens = one.shape[0], cols = one.shape[1], rows = one.shape[2];
  const std::size_t group = one.shape[3], strips = strips_of(rows);
  constexpr int kBits = kKind == FloatKind::kW4 ? 4 : 8;
  const Floats floats = one.draw.reals(strips * cols * kStripRows);
  const auto halves = one.draw.halves(floats.size());
  Bytes tiles(strips * blocks_of(cols) * tile_bytes(kBits));
  pack_tiles(rows, cols, kBits, one.draw.codes(rows * cols, kBits).data(), tiles.data());
  const std::size_t scales = strips * grids_of(cols, group) * kStripRows;
  const auto half_scale = one.draw.halves(scales);
  const Floats row_scale = one.draw.reals(scales);
  const Bytes zero = one.draw.codes(scales, kBits);
  const LinearWeight codes{rows,
                           cols,
                           kBits,
                           grids_of(cols, group),
                           grid_shift_of(group),
                           tiles.data(),
                           group == 0 ? nullptr : half_scale.data(),
                           group == 0 ? row_scale.data() : nullptr,
                           zero.data()};
  FloatWeight weight{rows, cols, nullptr, nullptr, nullptr};
  if (kKind == FloatKind::kF32) weight.floats = floats.data();
  if (kKind == FloatKind::kF16) weight.halves = halves.data();
  if (kKind == FloatKind::kW4 || kKind == FloatKind::kW8) weight.codes = &codes;
  const Floats x = one.draw.reals(tokens * cols), bias = one.draw.reals(rows);
  Floats y(tokens * rows);
  const LinearFloatKernel& kernel = linear_float_select(kKind, one.allowed);
  const auto after = static_cast<Activation>(one.shape[4]);
  run_kernel(kernel, [&] {
    kernel.run({weight, tokens, x.data(), bias.data(), after, y.data()}, {0, strips});
  });
  one.hash.add(y);
}

// Shape: images, height, width, channels, outputs, groups, size of the kernel, stride, padding,
// dilation.
inline void run_conv2d_f32(const Case& one) {
  const Shape& shape = one.shape;
  const std::size_t channels = shape[3], outputs = shape[4], groups = shape[5];
  const Window window{shape[0], axis_of(shape[1], shape[6], shape[7], shape[8], shape[9]),
                      axis_of(shape[2], shape[6], shape[7], shape[8], shape[9])};
  const Floats x = one.draw.reals(window.images * window.y.in * window.x.in * channels);
  const std::size_t strips = strips_of(outputs / groups);
  const Floats weight = one.draw.reals(window.taps() * channels * strips * kStripRows);
  const Floats bias = one.draw.reals(outputs);
  Floats y(window.positions() * outputs);
  const Conv2dF32Kernel& kernel = conv2d_f32_select(one.allowed);
  run_kernel(kernel, [&] {
    kernel.run({window, groups, channels, outputs, x.data(), weight.data(), bias.data(), -200.0f,
                200.0f, y.data()},
               {0, window.rows()});
  });
  one.hash.add(y);
}

// Shape: images, height, width, channels, size of the kernel, stride, padding, dilation.
inline Window window_of(const Shape& shape) {
  return {shape[0], axis_of(shape[1], shape[4], shape[5], shape[6], shape[7]),
          axis_of(shape[2], shape[4], shape[5], shape[6], shape[7])};
}

inline void run_depthwise_f32(const Case& one) {
  const Window window = window_of(one.shape);
  const std::size_t channels = one.shape[3];
  const Floats x = one.draw.reals(window.images * window.y.in * window.x.in * channels);
  const Floats weight = one.draw.reals(window.taps() * channels), bias = one.draw.reals(channels);
  Floats y(window.positions() * channels);
  const DepthwiseF32Kernel& kernel = depthwise_f32_select(one.allowed);
  run_kernel(kernel, [&] {
    kernel.run({window, channels, x.data(), weight.data(), bias.data(), -60.0f, 60.0f, y.data()},
               {0, window.rows()});
  });
  one.hash.add(y);
}

// Every kind of pool, over numbers and over any patterns.
inline void run_pool2d(const Case& one) {
  const Window window = window_of(one.shape);
  const std::size_t channels = one.shape[3];
  const std::size_t size = window.images * window.y.in * window.x.in * channels;
  const PoolKernel& kernel = pool2d_select(one.allowed);
  for (const Floats& x : {one.draw.reals(size), one.draw.patterns(size)}) {
    for (const Pool pool : {Pool::kAverage, Pool::kAverageWithPadding, Pool::kMaximum}) {
      Floats y(window.positions() * channels);
      run_kernel(kernel, [&] {
        kernel.run({window, pool, channels, x.data(), y.data()}, {0, window.rows()});
      });
      one.hash.add(y);
    }
  }
}

}  // namespace lamella::vectors
