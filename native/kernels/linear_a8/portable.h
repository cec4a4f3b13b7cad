// The loops of linear_a8 for any processor, for weights that are tiles and for sparse ones.
#pragma once

#include <cmath>

#include "base/half.h"
#include "kernels/linear_a8/strips.h"

namespace lamella {

using TileCodes = std::uint8_t[kStripRows][kBlockCols];

// The scale and the zero point of a row and group.
struct RowGrid {
  float scale;
  std::int32_t zero;
};

inline RowGrid grid_at(const LinearWeight& weight, std::size_t grid) {
  const float scale =
      weight.row_scale == nullptr ? half_to_float(weight.half_scale[grid]) : weight.row_scale[grid];
  return {scale, weight.zero == nullptr ? 1 << (weight.bits - 1) : weight.zero[grid]};
}

inline float add_cols(const std::uint8_t* codes, Slice cols, RowGrid grid, const TokenBlock& token,
                      float y) {
  std::int32_t dot = 0;
  for (std::size_t col = cols.begin; col < cols.end; ++col) {
    dot += (codes[col] - grid.zero) * token.codes[col];
  }
  const float step = grid.scale * token.scale;
  return std::fma(step, static_cast<float>(dot), y);
}

template <typename Unpack>
void run_strip(const LinearCall& call, std::size_t strip, std::size_t token, const Unpack& unpack) {
  const LinearWeight& weight = call.weight;
  const std::size_t parts = weight.halved() ? 2 : 1;
  float sums[kStripRows] = {};
  TileCodes codes;
  for (std::size_t block = 0; block < blocks_of(weight.cols); ++block) {
    unpack(strip, block, codes);
    const std::size_t grid = weight.grid(strip, block);
    const TokenBlock input = token_block(call.input, token, block);
    for (std::size_t row = 0; row < kStripRows; ++row) {
      for (std::size_t part = 0; part < parts; ++part) {
        const RowGrid of_part = grid_at(weight, grid + part * kStripRows + row);
        sums[row] =
            add_cols(codes[row], slice_of(kBlockCols, parts, part), of_part, input, sums[row]);
      }
    }
  }
  write_rows(call, token, strip, sums);
}

// `unpack(strip, block, codes)` gives the codes of a tile.
template <typename Unpack>
void run_portable(const LinearCall& call, Slice strips, const Unpack& unpack) {
  for (std::size_t strip = strips.begin; strip < strips.end; ++strip) {
    for (std::size_t token = 0; token < call.input.tokens; ++token) {
      run_strip(call, strip, token, unpack);
    }
  }
}

}  // namespace lamella
