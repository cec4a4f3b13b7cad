// Cases of linear_input, linear_a8 and sparse_linear_a8 for probe_vectors.cc.
#pragma once

#include "kernels/linear_a8/linear_a8.h"
#include "kernels/sparse_linear_a8/sparse_linear_a8.h"
#include "vectors_case.h"

namespace lamella::vectors {

// Input codes and their scales and sums.
struct Quantized {
  Quantized(const Case& one, std::size_t tokens, std::size_t cols)
      : codes(tokens * token_bytes(cols)),
        scale(tokens * blocks_of(cols)),
        sum(scale.size()),
        half_sum(scale.size()),
        input{tokens, cols, codes.data(), scale.data(), sum.data(), half_sum.data()} {
    const LinearInputKernel& kernel = linear_input_select(one.allowed);
    const Floats x = one.draw.reals(tokens * cols);
    run_kernel(kernel, [&] { kernel.run(x.data(), input, {0, tokens}); });
  }

  std::vector<std::int8_t> codes;
  Floats scale;
  std::vector<std::int32_t> sum;
  std::vector<std::int32_t> half_sum;
  LinearInput input;
};

// Shape: tokens, cols.
inline void run_linear_input(const Case& one) {
  const Quantized result(one, one.shape[0], one.shape[1]);
  one.hash.add(result.codes);
  one.hash.add(result.scale);
  one.hash.add(result.sum);
  one.hash.add(result.half_sum);
}

// Shape: tokens, cols, rows, group. Zero points and a bias are there where group is not 64.
template <int kBits>
void run_linear(const Case& one) {
  const std::size_t tokens = one.shape[0], cols = one.shape[1], rows = one.shape[2];
  const std::size_t group = one.shape[3], strips = strips_of(rows), blocks = blocks_of(cols);
  const std::size_t grids = grids_of(cols, group);
  Quantized quantized(one, tokens, cols);
  Bytes tiles(strips * blocks * tile_bytes(kBits));
  pack_tiles(rows, cols, kBits, one.draw.codes(rows * cols, kBits).data(), tiles.data());
  const auto half_scale = one.draw.halves(strips * grids * kStripRows);
  const Floats row_scale = one.draw.reals(strips * kStripRows);
  const Bytes zero = one.draw.codes(strips * grids * kStripRows, kBits);
  const Floats bias = one.draw.reals(rows);
  const bool plain = group == 64;
  const LinearWeight weight{rows,
                            cols,
                            kBits,
                            grids,
                            grid_shift_of(group),
                            tiles.data(),
                            group == 0 ? nullptr : half_scale.data(),
                            group == 0 ? row_scale.data() : nullptr,
                            plain ? nullptr : zero.data()};
  Floats y(tokens * rows);
  const LinearKernel& kernel = linear_a8_select(kBits, one.allowed);
  run_kernel(kernel, [&] {
    kernel.run({weight, quantized.input, plain ? nullptr : bias.data(), y.data()}, {0, strips});
  });
  one.hash.add(y);
}

// Shape: tokens, cols, rows, group; about half of the weights are kept.
template <int kBits>
void run_sparse(const Case& one) {
  const std::size_t tokens = one.shape[0], cols = one.shape[1], rows = one.shape[2];
  const std::size_t group = one.shape[3], strips = strips_of(rows),
                    count = strips * blocks_of(cols);
  const std::size_t scales = strips * grids_of(cols, group) * kStripRows;
  Quantized quantized(one, tokens, cols);
  Bytes tiles(count * tile_bytes(kBits));
  pack_tiles(rows, cols, kBits, one.draw.codes(rows * cols, kBits).data(), tiles.data());
  std::vector<std::uint64_t> masks(count * kPairs);
  pack_sparse_masks(rows, cols, one.draw.codes(rows * cols, 1).data(), masks.data());
  std::vector<std::uint32_t> starts(count);
  const std::size_t bytes = for_each_start(
      count, kBits, masks.data(),
      [&](std::size_t tile, std::size_t at) { starts[tile] = static_cast<std::uint32_t>(at); });
  Bytes kept(bytes + kSparsePadding);
  pack_sparse_codes(count, kBits, tiles.data(), masks.data(), kept.data());
  const auto half_scale = one.draw.halves(scales);
  const Floats row_scale = one.draw.reals(scales);
  const Bytes zero = one.draw.codes(scales, kBits);
  const LinearWeight weight{rows,
                            cols,
                            kBits,
                            grids_of(cols, group),
                            grid_shift_of(group),
                            kept.data(),
                            group == 0 ? nullptr : half_scale.data(),
                            group == 0 ? row_scale.data() : nullptr,
                            zero.data(),
                            masks.data(),
                            starts.data()};
  Floats y(tokens * rows);
  const SparseLinearKernel& kernel = sparse_linear_a8_select(kBits, one.allowed);
  run_kernel(kernel,
             [&] { kernel.run({weight, quantized.input, nullptr, y.data()}, {0, strips}); });
  one.hash.add(y);
}

}  // namespace lamella::vectors
