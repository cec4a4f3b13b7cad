// Cases of quantize, transpose and elementwise with broadcasting for probe_vectors.cc.
#pragma once

#include <algorithm>

#include "kernels/elementwise/elementwise.h"
#include "kernels/quantize/quantize.h"
#include "kernels/transpose/transpose.h"
#include "vectors_case.h"

namespace lamella::vectors {

// Shape: rows, channels, whether codes are signed. Numbers and any patterns, there and back.
inline void run_quantize(const Case& one) {
  const std::size_t channels = one.shape[1], count = one.shape[0] * channels;
  Floats scale = one.draw.reals(period_of(channels)), zero(scale.size());
  const Bytes drawn = one.draw.codes(channels, 8);
  for (std::size_t i = 0; i < scale.size(); ++i) {
    scale[i] = i < channels ? scale[i] * scale[i] * 0x1p-6f + 0x1p-10f : scale[i - channels];
    zero[i] = static_cast<float>(drawn[i % channels]);
  }
  const std::uint8_t inverted = one.shape[2] != 0 ? 128 : 0;
  const Grids grids{scale.size(), scale.data(), zero.data(), inverted};
  const QuantizeKernel& kernel = quantize_select(one.allowed);
  for (const Floats& x : {one.draw.reals(count), one.draw.patterns(count)}) {
    Bytes codes(count);
    Floats back(count);
    run_kernel(kernel, [&] {
      kernel.calls->quantize(grids, x.data(), codes.data(), {0, count});
      kernel.calls->dequantize(grids, codes.data(), back.data(), {0, count});
    });
    one.hash.add(codes);
    one.hash.add(back);
  }
}

// Shape: bytes of an element, sizes of three axes, which are taken in every order.
inline void run_transpose(const Case& one) {
  const Shape sizes(one.shape.begin() + 1, one.shape.end());
  const TransposeKernel& kernel = transpose_select(one.allowed);
  const Bytes x = one.draw.codes(one.shape[0] * sizes[0] * sizes[1] * sizes[2], 8);
  std::size_t order[] = {0, 1, 2};
  do {
    const TransposePlan plan = plan_transpose(one.shape[0], {sizes.data(), 3}, order);
    Bytes y(x.size());
    run_kernel(kernel, [&] { kernel.run({plan, x.data(), y.data()}, {0, plan.units()}); });
    one.hash.add(y);
  } while (std::next_permutation(order, order + 3));
}

// Shape: three sizes. One input has them; the other lacks every selection of them in turn.
inline void run_broadcast(const Case& one) {
  const ElementwiseKernel& kernel = elementwise_select(one.allowed);
  const std::size_t count = one.shape[0] * one.shape[1] * one.shape[2];
  const Floats a = one.draw.reals(count), b = one.draw.reals(count);
  for (std::size_t lacks = 0; lacks < 8; ++lacks) {
    Shape sizes = one.shape;
    for (std::size_t i = 0; i < 3; ++i) sizes[i] = (lacks >> i & 1) != 0 ? 1 : sizes[i];
    const Span<std::size_t> whole{one.shape.data(), 3}, part{sizes.data(), 3};
    Floats right(count), left(count);
    run_kernel(kernel, [&] {
      kernel.calls->sub(plan_broadcast(whole, part), a.data(), b.data(), right.data(), {0, count});
      kernel.calls->sub(plan_broadcast(part, whole), b.data(), a.data(), left.data(), {0, count});
    });
    one.hash.add(right);
    one.hash.add(left);
  }
}

}  // namespace lamella::vectors
