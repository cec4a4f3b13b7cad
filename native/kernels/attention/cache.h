// A cache of keys or values: (positions, kv_heads, head_dim) in one of four formats.
//
//   float32, float16   the values themselves
//   int8               value = code * scale, with signed codes
//   int4               value = (code - 8) * scale, with two codes a byte, the first in the low
//                      nibble, as kernels/pack has them
//
// Each head of a position is a row of cache_row_bytes(format, head_dim) bytes; the high nibble
// after an odd number of codes is not used. scale is (positions, kv_heads) float32.
#pragma once

#include <cstddef>
#include <cstdint>

namespace lamella {

enum class CacheFormat { kFloat32, kFloat16, kInt8, kInt4 };

constexpr std::size_t cache_bits(CacheFormat format) {
  return format == CacheFormat::kFloat32   ? 32
         : format == CacheFormat::kFloat16 ? 16
         : format == CacheFormat::kInt8    ? 8
                                           : 4;
}

constexpr bool has_scale(CacheFormat format) { return cache_bits(format) < 16; }

constexpr std::size_t cache_row_bytes(CacheFormat format, std::size_t head_dim) {
  return (head_dim * cache_bits(format) + 7) / 8;
}

struct Cache {
  CacheFormat format;
  std::size_t kv_heads;
  std::size_t head_dim;
  std::uint8_t* codes;
  float* scale;  // null where the format has none

  // The number of a row, which is its place in `scale`, too.
  std::size_t row(std::size_t position, std::size_t kv_head) const {
    return position * kv_heads + kv_head;
  }

  std::uint8_t* row_codes(std::size_t row) const {
    return codes + row * cache_row_bytes(format, head_dim);
  }
};

}  // namespace lamella
