// Writes the float bits of all 65536 half floats, then the half bits of the floats on stdin.
#include <cstdint>
#include <iostream>

#include "base/half.h"

int main() {
  for (std::uint32_t half = 0; half < 65536; ++half) {
    const float value = lamella::half_to_float(static_cast<std::uint16_t>(half));
    std::cout.write(reinterpret_cast<const char*>(&value), sizeof value);
  }
  float value = 0;
  while (std::cin.read(reinterpret_cast<char*>(&value), sizeof value)) {
    const std::uint16_t half = lamella::float_to_half(value);
    std::cout.write(reinterpret_cast<const char*>(&half), sizeof half);
  }
  return 0;
}
