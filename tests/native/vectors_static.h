// Cases of conv2d_a8 and depthwise_a8 for probe_vectors.cc.
#pragma once

#include <limits>

#include "kernels/conv2d_a8/conv2d_a8.h"
#include "kernels/depthwise_a8/depthwise_a8.h"
#include "vectors_case.h"

namespace lamella::vectors {

// One axis with the same padding on both sides.
inline WindowAxis axis_of(std::size_t in, std::size_t kernel, std::size_t stride,
                          std::size_t padding, std::size_t dilation) {
  const std::size_t out = (in + 2 * padding - (kernel - 1) * dilation - 1) / stride + 1;
  return {in, out, kernel, stride, dilation, padding};
}

// What follows the sums of a layer: its parameters, its input and its output.
struct Finish {
  static constexpr std::uint8_t kInputZero = 77;
  static constexpr std::int32_t kZero = 100;

  // `kind` is the number of an activation times 3, and 0 for float32, 1 for codes and 2 for codes
  // with a residual.
  Finish(const Case& one, const Window& window, std::size_t channels, std::size_t outputs,
         std::size_t kind)
      : x(one.draw.codes(window.images * window.y.in * window.x.in * channels, 8)),
        zeros(channels, kInputZero),
        other(one.draw.codes(kind % 3 == 2 ? window.positions() * outputs : 0, 8)),
        y(window.positions() * outputs * (kind % 3 == 0 ? sizeof(float) : 1)),
        source{x.data(), zeros.data(), channels},
        finished{kind % 3 == 2 ? other.data() : nullptr, y.data()},
        codes(kind % 3 != 0),
        activation(static_cast<Activation>(kind / 3)) {}

  // Gives every place of `sum`, the sums of the packed weights, parameters of its own.
  Epilogue epilogue(const Case& one, const std::vector<std::int32_t>& sum) {
    step = one.draw.reals(sum.size());
    bias = one.draw.reals(sum.size());
    for (float& value : step) value *= 0x1p-12f;
    for (const std::int32_t total : sum) {
      offset.push_back(static_cast<std::int32_t>(one.draw.bits(12)) - kInputZero * total);
    }
    constexpr float kInfinity = std::numeric_limits<float>::infinity();
    return {offset.data(),
            sum.data(),
            step.data(),
            bias.data(),
            codes ? 0.0f - kZero : -kInfinity,
            codes ? 255.0f - kZero : kInfinity,
            codes,
            codes ? kZero : 0,
            0.375f,
            12,
            activation,
            activation == Activation::kNone ? 1.0f : 12.75f};
  }

  Bytes x, zeros, other, y;
  Source source;
  Finished finished;
  bool codes;
  Activation activation;
  std::vector<std::int32_t> offset;
  Floats step, bias;
};

// Shape: images, height, width, channels of a group, outputs of a group, groups, size of the
// kernel, stride, padding, dilation, kind of the output.
template <int kBits>
void run_conv2d(const Case& one) {
  const Shape& shape = one.shape;
  const std::size_t cols = shape[3], rows = shape[4], groups = shape[5];
  const Window window{shape[0], axis_of(shape[1], shape[6], shape[7], shape[8], shape[9]),
                      axis_of(shape[2], shape[6], shape[7], shape[8], shape[9])};
  const Conv2dSize size{groups, rows, window.taps(), cols, kBits};
  Bytes tiles(size.strips() * size.strip_bytes());
  std::vector<std::int32_t> sum(size.epilogue_rows());
  const Bytes codes = one.draw.codes(groups * rows * window.taps() * cols, kBits);
  pack_conv2d(size, codes.data(), tiles.data(), sum.data());
  Finish finish(one, window, groups * cols, groups * rows, shape[10]);
  const Epilogue epilogue = finish.epilogue(one, sum);
  const Conv2dKernel& kernel = conv2d_a8_select(kBits, one.allowed);
  run_kernel(kernel, [&] {
    kernel.run({{size, tiles.data()}, window, epilogue, finish.source, finish.finished},
               {0, window.positions()}, {0, size.strips()});
  });
  one.hash.add(finish.y);
}

// Shape: images, height, width, channels, size of the kernel, stride, padding, dilation, kind of
// the output.
inline void run_depthwise_a8(const Case& one) {
  const Shape& shape = one.shape;
  const Window window{shape[0], axis_of(shape[1], shape[4], shape[5], shape[6], shape[7]),
                      axis_of(shape[2], shape[4], shape[5], shape[6], shape[7])};
  const DepthwiseSize size{shape[3], window.taps()};
  std::vector<std::int8_t> weights(size.pairs() * size.pair_bytes());
  std::vector<std::int32_t> sum(size.stored_channels());
  const Bytes codes = one.draw.codes(size.channels * size.taps, 8);
  pack_depthwise(size, codes.data(), weights.data(), sum.data());
  Finish finish(one, window, size.channels, size.channels, shape[8]);
  const Epilogue epilogue = finish.epilogue(one, sum);
  const DepthwiseKernel& kernel = depthwise_a8_select(one.allowed);
  run_kernel(kernel, [&] {
    kernel.run({{size, weights.data()}, window, epilogue, finish.source, finish.finished},
               {0, window.positions()});
  });
  one.hash.add(finish.y);
}

}  // namespace lamella::vectors
