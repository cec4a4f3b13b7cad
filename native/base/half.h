// Half floats: IEEE binary16 as its 16 bits, for processors without conversions of their own.
#pragma once

#include <cstdint>
#include <cstring>

namespace lamella {

inline std::uint32_t float_bits(float value) {
  std::uint32_t bits = 0;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}

inline float float_from_bits(std::uint32_t bits) {
  float value = 0;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

// Exact. A signalling NaN becomes quiet, as in hardware.
inline float half_to_float(std::uint16_t half) {
  const std::uint32_t sign = std::uint32_t{half & 0x8000u} << 16;
  const std::uint32_t exponent = half >> 10 & 0x1fu;
  const std::uint32_t fraction = half & 0x3ffu;
  if (exponent == 0) {
    const float magnitude = static_cast<float>(fraction) * 0x1p-24f;
    return float_from_bits(sign | float_bits(magnitude));
  }
  const std::uint32_t widened = fraction << 13;
  if (exponent == 31) return float_from_bits(sign | 0x7f800000u | widened | (fraction != 0) << 22);
  return float_from_bits(sign | (exponent + 112) << 23 | widened);
}

// Rounds to the nearest, ties to even; what lies beyond the largest half float is infinite.
inline std::uint16_t float_to_half(float value) {
  const std::uint32_t bits = float_bits(value);
  const std::uint32_t sign = bits >> 16 & 0x8000u;
  const std::uint32_t magnitude = bits & 0x7fffffffu;
  std::uint32_t half = 0;
  if (magnitude > 0x7f800000u) {
    half = 0x7e00u | (magnitude >> 13 & 0x3ffu);
  } else if (magnitude >= 0x47800000u) {  // 2^16
    half = 0x7c00u;
  } else if (magnitude >= 0x38800000u) {  // 2^-14, the least normal half float
    // A carry out of the fraction raises the exponent, up to infinity: that is the rounding wanted.
    half = (magnitude - 0x38000000u + 0xfffu + (magnitude >> 13 & 1)) >> 13;
  } else {
    // One unit of this sum is 2^-24, the step of the half floats that are not normal.
    half = float_bits(float_from_bits(magnitude) + 0.5f) - float_bits(0.5f);
  }
  return static_cast<std::uint16_t>(sign | half);
}

}  // namespace lamella
