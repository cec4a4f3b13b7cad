// linear_a8 for any processor: the reference of the other kernels.
#include "kernels/linear_a8/portable.h"

namespace lamella {
namespace {

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

void run(const LinearCall& call, Slice strips) {
  const LinearWeight& weight = call.weight;
  run_portable(call, strips, [&](std::size_t strip, std::size_t block, TileCodes& codes) {
    unpack_tile(weight.tile(strip, block), weight.bits, codes);
  });
}

}  // namespace

void linear_w2a8_portable(const LinearCall& call, Slice strips) { run(call, strips); }
void linear_w3a8_portable(const LinearCall& call, Slice strips) { run(call, strips); }
void linear_w4a8_portable(const LinearCall& call, Slice strips) { run(call, strips); }
void linear_w5a8_portable(const LinearCall& call, Slice strips) { run(call, strips); }
void linear_w6a8_portable(const LinearCall& call, Slice strips) { run(call, strips); }
void linear_w8a8_portable(const LinearCall& call, Slice strips) { run(call, strips); }

}  // namespace lamella
