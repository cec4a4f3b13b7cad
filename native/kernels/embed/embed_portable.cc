// embed for any processor.
#include <algorithm>
#include <cstring>

#include "base/half.h"
#include "kernels/embed/embed.h"

namespace lamella {
namespace {

constexpr std::size_t kStepCols = kBlockCols / kSteps;

// The bytes of four neighbouring columns of a row in one vector of a tile.
std::uint32_t load_four(const std::uint8_t* tile, std::size_t vector, std::size_t row) {
  std::uint32_t four = 0;
  std::memcpy(&four, tile + vector * kVectorBytes + kStepCols * row, sizeof four);
  return four;
}

// No code and no piece of one crosses a byte.
std::uint32_t shifted(std::uint32_t four, int shift, unsigned mask) {
  return four >> shift & 0x01010101u * mask;
}

// The four codes of a step, a byte each.
std::uint32_t step_codes(const std::uint8_t* tile, int bits, std::size_t row, std::size_t step) {
  const StepPlace place = step_place(bits, step);
  std::uint32_t four = 0;
  if (is_spread(bits, place.vector)) {
    for (std::size_t index = 0; index < kPieces; ++index) {
      const Piece piece = spread_piece(bits, place.vector, index);
      four |= shifted(load_four(tile, piece.vector, row), piece.shift, piece.mask);
    }
  } else {
    four = load_four(tile, place.vector, row);
  }
  return shifted(four, place.shift, (1u << bits) - 1);
}

void unpack_row(const std::uint8_t* tile, int bits, std::size_t row,
                std::uint8_t (&codes)[kBlockCols]) {
  for (std::size_t step = 0; step < kSteps; ++step) {
    const std::uint32_t four = step_codes(tile, bits, row, step);
    std::memcpy(codes + kStepCols * step, &four, sizeof four);
  }
}

// Writes some columns of a block, whose scale and zero point are at `grid`.
void write_codes(const LinearWeight& weight, std::size_t grid, Slice cols,
                 const std::uint8_t (&codes)[kBlockCols], float* y) {
  const int zero = weight.zero == nullptr ? 1 << (weight.bits - 1) : weight.zero[grid];
  const float scale =
      weight.row_scale == nullptr ? half_to_float(weight.half_scale[grid]) : weight.row_scale[grid];
  for (std::size_t i = cols.begin; i < cols.end; ++i) {
    y[i] = scale * static_cast<float>(codes[i] - zero);
  }
}

void write_packed(const LinearWeight& weight, std::size_t id, float* y) {
  const std::size_t strip = id / kStripRows, row = id % kStripRows;
  const std::size_t part = weight.halved() ? kBlockCols / 2 : kBlockCols;
  std::uint8_t codes[kBlockCols];
  for (std::size_t block = 0; block < blocks_of(weight.cols); ++block) {
    unpack_row(weight.tile(strip, block), weight.bits, row, codes);
    const std::size_t first = block * kBlockCols;
    const std::size_t width = std::min(kBlockCols, weight.cols - first);
    std::size_t grid = weight.grid(strip, block) + row;
    for (std::size_t col = 0; col < width; col += part, grid += kStripRows) {
      write_codes(weight, grid, {col, std::min(col + part, width)}, codes, y + first);
    }
  }
}

}  // namespace

void embed_portable(const EmbedCall& call, Slice tokens) {
  const EmbedTable& table = call.table;
  for (std::size_t token = tokens.begin; token < tokens.end; ++token) {
    const auto id = static_cast<std::size_t>(call.id[token]);
    float* y = call.y + token * table.cols;
    if (table.packed != nullptr) {
      write_packed(*table.packed, id, y);
    } else if (table.half != nullptr) {
      std::transform(table.half + id * table.cols, table.half + (id + 1) * table.cols, y,
                     &half_to_float);
    } else {
      std::copy_n(table.single + id * table.cols, table.cols, y);
    }
  }
}

}  // namespace lamella
