// Rounding to an integer by adding a constant, as exp needs it.
#pragma once

#include <cstdint>

namespace lamella {

// 1.5 * 2^23: the sum of it and a number below 2^22 has no fraction, and its low bits, less
// kShiftBits, are the nearest integer.
inline constexpr float kShift = 12582912.0f;
inline constexpr std::uint32_t kShiftBits = 0x4b400000u;

}  // namespace lamella
