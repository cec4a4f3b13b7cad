// The scalar steps of pack, which every kernel uses where a row is too short for its registers.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace lamella {

// Packs a run of codes that starts a byte: 8 codes fill `bits` bytes, fewer the last of a row.
inline void pack_run(std::size_t cols, int bits, const std::uint8_t* codes, std::uint8_t* packed) {
  const auto width = static_cast<std::size_t>(bits);
  for (std::size_t col = 0; col < cols; col += 8) {
    const std::size_t count = std::min<std::size_t>(8, cols - col);
    std::uint64_t word = 0;
    for (std::size_t i = 0; i < count; ++i) {
      word |= static_cast<std::uint64_t>(codes[col + i]) << (i * width);
    }
    for (std::size_t i = 0; i * 8 < count * width; ++i) {
      packed[col / 8 * width + i] = static_cast<std::uint8_t>(word >> (8 * i));
    }
  }
}

// The inverse of pack_run.
inline void unpack_run(std::size_t cols, int bits, const std::uint8_t* packed,
                       std::uint8_t* codes) {
  const auto width = static_cast<std::size_t>(bits);
  const std::uint64_t ones = (std::uint64_t{1} << width) - 1;
  for (std::size_t col = 0; col < cols; col += 8) {
    const std::size_t count = std::min<std::size_t>(8, cols - col);
    std::uint64_t word = 0;
    for (std::size_t i = 0; i * 8 < count * width; ++i) {
      word |= static_cast<std::uint64_t>(packed[col / 8 * width + i]) << (8 * i);
    }
    for (std::size_t i = 0; i < count; ++i) {
      codes[col + i] = static_cast<std::uint8_t>((word >> (i * width)) & ones);
    }
  }
}

// Whether the bit of one column is 1 in a row of a mask.
inline bool is_kept(const std::uint8_t* mask_row, std::size_t col) {
  return ((mask_row[col / 8] >> (col % 8)) & 1) != 0;
}

}  // namespace lamella
