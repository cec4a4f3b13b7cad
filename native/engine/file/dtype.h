// The types of elements that a .lamella file may hold.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace lamella::file {

enum class Dtype : std::uint8_t {
  kBool,
  kInt8,
  kUint8,
  kInt16,
  kUint16,
  kInt32,
  kUint32,
  kInt64,
  kUint64,
  kFloat16,
  kFloat32,
  kFloat64,
};

// As FORMAT.md spells it, for example "float32".
const char* dtype_name(Dtype dtype);

std::size_t dtype_bytes(Dtype dtype);

// Returns whether there is a type of this name.
bool find_dtype(std::string_view name, Dtype* dtype);

}  // namespace lamella::file
