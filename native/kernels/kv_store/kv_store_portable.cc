// kv_store for any processor.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/half.h"
#include "kernels/kv_store/kv_store.h"

namespace lamella {
namespace {

// The least `max` of a row that is not stored as zeros: 127 / 2^-120 is a finite float32.
constexpr float kLeastMax = 0x1p-120f;

struct RowScale {
  float scale;
  float inverse;  // what a value is multiplied with; 0 where every code is 0
};

RowScale scale_of_row(const float* x, std::size_t size, float top) {
  // Patterns of magnitudes are ordered like the floats, with infinity and NaN above all numbers.
  std::uint32_t max_bits = 0;
  for (std::size_t i = 0; i < size; ++i) {
    max_bits = std::max(max_bits, float_bits(x[i]) & 0x7fffffffu);
  }
  if (max_bits >= 0x7f800000u) return {float_from_bits(0x7fc00000u), 0};
  const float max = float_from_bits(max_bits);
  if (max < kLeastMax) return {0, 0};
  return {max / top, top / max};
}

std::int32_t code_of(float x, float inverse) {
  return inverse == 0 ? 0 : static_cast<std::int32_t>(std::nearbyint(x * inverse));
}

void store_halves(const float* x, std::size_t size, std::uint8_t* codes) {
  for (std::size_t i = 0; i < size; ++i) {
    const std::uint16_t half = float_to_half(x[i]);
    std::memcpy(codes + i * sizeof half, &half, sizeof half);
  }
}

float store_bytes(const float* x, std::size_t size, std::uint8_t* codes) {
  const RowScale row = scale_of_row(x, size, 127.0f);
  for (std::size_t i = 0; i < size; ++i) {
    codes[i] = static_cast<std::uint8_t>(code_of(x[i], row.inverse));
  }
  return row.scale;
}

float store_nibbles(const float* x, std::size_t size, std::uint8_t* codes) {
  const RowScale row = scale_of_row(x, size, 7.0f);
  for (std::size_t i = 0; i < size; i += 2) {
    const std::int32_t low = code_of(x[i], row.inverse) + 8;
    const std::int32_t high = i + 1 < size ? code_of(x[i + 1], row.inverse) + 8 : 0;
    codes[i / 2] = static_cast<std::uint8_t>(low | high << 4);
  }
  return row.scale;
}

void store_row(const float* x, const Cache& cache, std::size_t row) {
  std::uint8_t* codes = cache.row_codes(row);
  switch (cache.format) {
    case CacheFormat::kFloat32:
      std::memcpy(codes, x, cache.head_dim * sizeof(float));
      return;
    case CacheFormat::kFloat16:
      return store_halves(x, cache.head_dim, codes);
    case CacheFormat::kInt8:
      cache.scale[row] = store_bytes(x, cache.head_dim, codes);
      return;
    case CacheFormat::kInt4:
      cache.scale[row] = store_nibbles(x, cache.head_dim, codes);
      return;
  }
}

}  // namespace

void kv_store_portable(const KvStoreCall& call, Slice tokens) {
  const Cache& cache = call.cache;
  for (std::size_t token = tokens.begin; token < tokens.end; ++token) {
    const auto place = static_cast<std::size_t>(call.place[token]);
    for (std::size_t head = 0; head < cache.kv_heads; ++head) {
      const float* x = call.x + (token * cache.kv_heads + head) * cache.head_dim;
      store_row(x, cache, cache.row(place, head));
    }
  }
}

}  // namespace lamella
