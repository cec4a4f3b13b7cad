#include "bind/arrays.h"

#include <pybind11/stl.h>

#include <algorithm>

namespace lamella {

namespace py = pybind11;

Shape shape_of(const py::array& array) {
  return Shape(array.shape(), array.shape() + array.ndim());
}

std::string shape_text(const Shape& shape) {
  return py::str(py::tuple(py::cast(shape))).cast<std::string>();
}

void check_kind(const py::array& array, const char* name, const py::dtype& dtype) {
  const std::string who(name);
  if (!array.dtype().equal(dtype)) {
    throw py::value_error(who + " must be " + py::str(dtype).cast<std::string>() + ", not " +
                          py::str(array.dtype()).cast<std::string>() + "; convert it with astype");
  }
  constexpr int kNeeded = py::array::c_style | py::detail::npy_api::NPY_ARRAY_ALIGNED_;
  if ((array.flags() & kNeeded) != kNeeded) {
    throw py::value_error(who + " of shape " + shape_text(shape_of(array)) +
                          " is not contiguous or not aligned; pass a copy of it");
  }
}

void check_dimensions(const py::array& array, const char* name, py::ssize_t dimensions) {
  if (array.ndim() == dimensions) return;
  throw py::value_error(std::string(name) + " must have " + std::to_string(dimensions) +
                        " dimensions, but its shape is " + shape_text(shape_of(array)));
}

void check_shape(const py::array& array, const char* name, const Shape& shape) {
  if (shape_of(array) == shape) return;
  throw py::value_error(std::string(name) + " must have the shape " + shape_text(shape) + ", not " +
                        shape_text(shape_of(array)));
}

void check_shape(const Bytes& array, const char* name, std::size_t rows, std::size_t cols) {
  check_shape(array, name, {static_cast<py::ssize_t>(rows), static_cast<py::ssize_t>(cols)});
}

void check_array(const py::array& array, const char* name, const py::dtype& dtype,
                 const Extents& shape) {
  check_kind(array, name, dtype);
  check_shape(array, name, Shape(shape.begin(), shape.end()));
}

Bytes checked_bytes(const py::array& array, const char* name, py::ssize_t dimensions) {
  check_kind(array, name, py::dtype::of<std::uint8_t>());
  check_dimensions(array, name, dimensions);
  return py::reinterpret_borrow<Bytes>(array);
}

void check_codes(const py::array& codes, const char* name, int bits) {
  const auto* data = static_cast<const std::uint8_t*>(codes.data());
  const auto* end = data + codes.size();
  const auto* wide = std::find_if(data, end, [bits](unsigned code) { return code >> bits != 0; });
  if (wide == end) return;
  throw py::value_error(std::string(name) + " has the code " + std::to_string(*wide) +
                        ", which does not fit " + std::to_string(bits) + " bits");
}

std::size_t checked_size(std::int64_t value, const char* name, std::int64_t least) {
  if (value >= least) return static_cast<std::size_t>(value);
  throw py::value_error(std::string(name) + " must be at least " + std::to_string(least) +
                        ", not " + std::to_string(value));
}

std::size_t extent(const Bytes& array, py::ssize_t axis) {
  return static_cast<std::size_t>(array.shape(axis));
}

}  // namespace lamella
