// The tile of a packed weight: 8 rows by 32 columns of unsigned codes in 32 * bits bytes.
//
// A tile has eight steps of 4 columns. Byte 4 * r + c of a vector of 32 bytes belongs to row r and
// column c of some steps: 8 / bits of them, rounded down, the first in the lowest bits, at equal
// distances. With 2, 4 and 8 bits these vectors are the tile. With 3, 5 and 6 bits a byte has bits
// to spare; the first `bits` vectors are stored, and the spare bits of all hold the others, the
// spread ones.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/span.h"

namespace lamella {

inline constexpr std::size_t kStripRows = 8;
inline constexpr std::size_t kSteps = 8;
inline constexpr std::size_t kVectorBytes = 32;

constexpr std::size_t tile_bytes(int bits) { return kVectorBytes * static_cast<std::size_t>(bits); }

// Where the codes of one step lie: a vector and a bit of each of its bytes.
struct StepPlace {
  std::size_t vector;
  int shift;
};

constexpr StepPlace step_place(int bits, std::size_t step) {
  const std::size_t steps = 8 / static_cast<std::size_t>(bits);
  return {step / steps, static_cast<int>(step % steps * (8 / steps))};
}

constexpr bool is_spread(int bits, std::size_t vector) {
  return vector >= static_cast<std::size_t>(bits);
}

// A part of a spread vector: `byte >> shift & mask` of each byte of a stored one. `mask` is 0 where
// there is no such part.
struct Piece {
  std::size_t vector;
  int shift;
  unsigned mask;
};

inline constexpr std::size_t kPieces = 3;  // the most that a spread vector has
inline constexpr Piece kSpread3[][kPieces] = {{{0, 3, 0x11}, {1, 2, 0x22}, {2, 1, 0x44}}};
inline constexpr Piece kSpread5[][kPieces] = {{{0, 5, 0x07}, {1, 2, 0x18}, {0, 0, 0}},
                                              {{2, 5, 0x07}, {3, 2, 0x18}, {0, 0, 0}},
                                              {{4, 5, 0x07}, {1, 4, 0x08}, {3, 3, 0x10}}};
inline constexpr Piece kSpread6[][kPieces] = {{{0, 6, 0x03}, {1, 4, 0x0c}, {2, 2, 0x30}},
                                              {{3, 6, 0x03}, {4, 4, 0x0c}, {5, 2, 0x30}}};

// Piece `index` of a spread vector of tiles of 3, 5 or 6 bits.
constexpr Piece spread_piece(int bits, std::size_t vector, std::size_t index) {
  const std::size_t number = vector - static_cast<std::size_t>(bits);
  return bits == 3   ? kSpread3[number][index]
         : bits == 5 ? kSpread5[number][index]
                     : kSpread6[number][index];
}

// Calls visit(byte offset in the tile, shift in the byte, shift in the code, width) for the parts
// of the code at a row and column of a tile.
template <typename Visit>
void visit_code(int bits, std::size_t row, std::size_t col, const Visit& visit) {
  const std::size_t lane = 4 * row + col % 4;
  const StepPlace place = step_place(bits, col / 4);
  if (!is_spread(bits, place.vector)) {
    return visit(place.vector * kVectorBytes + lane, place.shift, 0, bits);
  }
  int from = 0;
  for (std::size_t index = 0; from < bits; ++index) {
    const Piece piece = spread_piece(bits, place.vector, index);
    const unsigned mask = piece.mask >> place.shift & ((1u << bits) - 1);
    const int width = __builtin_popcount(mask);
    visit(piece.vector * kVectorBytes + lane, piece.shift + place.shift + from, from, width);
    from += width;
  }
}

}  // namespace lamella
