// The tile of a packed weight: 8 rows by 32 columns of unsigned codes in 32 * bits bytes.
//
// A tile has eight steps of 4 columns. Codes are cut into a low and a high part, each stored as a
// plane: the low part has 8 bits for 8-bit codes, 4 for 4 to 6 bits and 2 for 2 and 3 bits; the
// high part has the rest and may be empty. A plane of width w has w vectors of 32 bytes; step s of
// it lies in vector s * w / 8 at bit s * w % 8 of each byte, and byte 4 * r + c of a vector
// belongs to row r and column c of the step. So one shift and one mask give a step of 8 rows.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/span.h"

namespace lamella {

inline constexpr std::size_t kStripRows = 8;
inline constexpr std::size_t kSteps = 8;
inline constexpr std::size_t kVectorBytes = 32;

constexpr int low_width(int bits) { return bits == 8 ? 8 : bits >= 4 ? 4 : 2; }

constexpr std::size_t tile_bytes(int bits) { return kVectorBytes * static_cast<std::size_t>(bits); }

// Where the codes of one step lie in a plane.
struct StepPlace {
  std::size_t byte;
  int shift;
};

constexpr StepPlace step_place(std::size_t step, int width) {
  const std::size_t bit = step * static_cast<std::size_t>(width);
  return {bit / 8 * kVectorBytes, static_cast<int>(bit % 8)};
}

// Calls visit(byte offset in the tile, shift in the byte, shift in the code, width) for the parts
// of the code at a row and column of a tile.
template <typename Visit>
void visit_code(int bits, std::size_t row, std::size_t col, const Visit& visit) {
  const int low = low_width(bits);
  const std::size_t lane = 4 * row + col % 4;
  const StepPlace first = step_place(col / 4, low);
  visit(first.byte + lane, first.shift, 0, low);
  if (low == bits) return;
  const StepPlace second = step_place(col / 4, bits - low);
  visit(tile_bytes(low) + second.byte + lane, second.shift, low, bits - low);
}

}  // namespace lamella
