// Unsigned numbers of a file, least byte first, at any address.
#pragma once

#include <cstddef>
#include <cstdint>

namespace lamella::file {

template <typename Number>
Number little_endian(const std::uint8_t* bytes) {
  Number number = 0;
  for (std::size_t i = sizeof(Number); i-- > 0;) {
    number = static_cast<Number>(number << 8 | bytes[i]);
  }
  return number;
}

template <typename Number>
void put_little_endian(Number number, std::uint8_t* bytes) {
  for (std::size_t i = 0; i < sizeof(Number); ++i) {
    bytes[i] = static_cast<std::uint8_t>(number >> 8 * i);
  }
}

}  // namespace lamella::file
