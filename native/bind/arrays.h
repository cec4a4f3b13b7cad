// The border between NumPy and kernels: arrays are checked here, and nowhere below.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace lamella {

using Bytes = pybind11::array_t<std::uint8_t, pybind11::array::c_style>;
using Shape = std::vector<pybind11::ssize_t>;
using Extents = std::vector<std::size_t>;

Shape shape_of(const pybind11::array& array);

// As Python writes a tuple.
std::string shape_text(const Shape& shape);

// Raises ValueError unless the array has this dtype and is C-contiguous and aligned.
void check_kind(const pybind11::array& array, const char* name, const pybind11::dtype& dtype);

// Raises ValueError unless the array has so many dimensions.
void check_dimensions(const pybind11::array& array, const char* name, pybind11::ssize_t dimensions);

// Raises ValueError unless the array has this shape.
void check_shape(const pybind11::array& array, const char* name, const Shape& shape);
void check_shape(const Bytes& array, const char* name, std::size_t rows, std::size_t cols);

// Both of kind and shape.
void check_array(const pybind11::array& array, const char* name, const pybind11::dtype& dtype,
                 const Extents& shape);

// Returns the array as it is, without a copy. Raises ValueError unless it is of type Item and
// C-contiguous and aligned.
template <typename Item>
pybind11::array_t<Item> checked(const pybind11::array& array, const char* name) {
  check_kind(array, name, pybind11::dtype::of<Item>());
  return pybind11::reinterpret_borrow<pybind11::array_t<Item>>(array);
}

// The same for a uint8 array of `dimensions` dimensions.
Bytes checked_bytes(const pybind11::array& array, const char* name, pybind11::ssize_t dimensions);

// Raises ValueError unless every uint8 code of the array is below 2^bits.
void check_codes(const pybind11::array& codes, const char* name, int bits);

// Raises ValueError unless `value` is `least` or more; returns it as a size.
std::size_t checked_size(std::int64_t value, const char* name, std::int64_t least);

// The size of one axis.
std::size_t extent(const Bytes& array, pybind11::ssize_t axis);

}  // namespace lamella
