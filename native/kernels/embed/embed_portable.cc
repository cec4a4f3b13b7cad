// embed for any processor.
#include <algorithm>
#include <cstring>

#include "base/half.h"
#include "kernels/embed/embed.h"

namespace lamella {
namespace {

constexpr std::size_t kStepCols = kBlockCols / kSteps;

// The parts of a step's four codes in one plane, a byte each; no part crosses a byte.
std::uint32_t plane_codes(const std::uint8_t* plane, std::size_t row, std::size_t step, int width) {
  const StepPlace place = step_place(step, width);
  std::uint32_t four = 0;
  std::memcpy(&four, plane + place.byte + kStepCols * row, sizeof four);
  return four >> place.shift & 0x01010101u * ((1u << width) - 1);
}

void unpack_row(const std::uint8_t* tile, int bits, std::size_t row,
                std::uint8_t (&codes)[kBlockCols]) {
  const int low = low_width(bits);
  for (std::size_t step = 0; step < kSteps; ++step) {
    std::uint32_t four = plane_codes(tile, row, step, low);
    if (low < bits) four |= plane_codes(tile + tile_bytes(low), row, step, bits - low) << low;
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
