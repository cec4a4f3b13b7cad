// linear_a8 for any processor: the reference of the other kernels.
#include <cmath>

#include "base/half.h"
#include "kernels/linear_a8/strips.h"

namespace lamella {
namespace {

using TileCodes = std::uint8_t[kStripRows][kBlockCols];

void unpack_tile(const std::uint8_t* tile, int bits, TileCodes& codes) {
  for (std::size_t row = 0; row < kStripRows; ++row) {
    for (std::size_t col = 0; col < kBlockCols; ++col) {
      unsigned code = 0;
      visit_code(bits, row, col, [&](std::size_t byte, int shift, int from, int width) {
        code |= (tile[byte] >> shift & ((1u << width) - 1)) << from;
      });
      codes[row][col] = static_cast<std::uint8_t>(code);
    }
  }
}

// The scale and the zero point of a row and group.
struct Grid {
  float scale;
  std::int32_t zero;
};

Grid grid_at(const LinearWeight& weight, std::size_t grid) {
  const float scale =
      weight.row_scale == nullptr ? half_to_float(weight.half_scale[grid]) : weight.row_scale[grid];
  return {scale, weight.zero == nullptr ? 1 << (weight.bits - 1) : weight.zero[grid]};
}

float add_cols(const std::uint8_t* codes, Slice cols, Grid grid, const TokenBlock& token, float y) {
  std::int32_t dot = 0;
  for (std::size_t col = cols.begin; col < cols.end; ++col) {
    dot += (codes[col] - grid.zero) * token.codes[col];
  }
  const float step = grid.scale * token.scale;
  return std::fma(step, static_cast<float>(dot), y);
}

void run_strip(const LinearCall& call, std::size_t strip, std::size_t token) {
  const LinearWeight& weight = call.weight;
  const std::size_t parts = weight.halved() ? 2 : 1;
  float sums[kStripRows] = {};
  TileCodes codes;
  for (std::size_t block = 0; block < blocks_of(weight.cols); ++block) {
    unpack_tile(weight.tile(strip, block), weight.bits, codes);
    const std::size_t grid = weight.grid(strip, block);
    const TokenBlock input = token_block(call.input, token, block);
    for (std::size_t row = 0; row < kStripRows; ++row) {
      for (std::size_t part = 0; part < parts; ++part) {
        const Grid of_part = grid_at(weight, grid + part * kStripRows + row);
        sums[row] =
            add_cols(codes[row], slice_of(kBlockCols, parts, part), of_part, input, sums[row]);
      }
    }
  }
  write_rows(call, token, strip, sums);
}

void run(const LinearCall& call, Slice strips) {
  for (std::size_t strip = strips.begin; strip < strips.end; ++strip) {
    for (std::size_t token = 0; token < call.input.tokens; ++token) run_strip(call, strip, token);
  }
}

}  // namespace

void linear_w2a8_portable(const LinearCall& call, Slice strips) { run(call, strips); }
void linear_w3a8_portable(const LinearCall& call, Slice strips) { run(call, strips); }
void linear_w4a8_portable(const LinearCall& call, Slice strips) { run(call, strips); }
void linear_w5a8_portable(const LinearCall& call, Slice strips) { run(call, strips); }
void linear_w6a8_portable(const LinearCall& call, Slice strips) { run(call, strips); }
void linear_w8a8_portable(const LinearCall& call, Slice strips) { run(call, strips); }

}  // namespace lamella
