#include "bind/arrays.h"

namespace lamella {
namespace {

namespace py = pybind11;

std::string shape_text(const py::array& array) {
  return py::str(py::tuple(array.attr("shape"))).cast<std::string>();
}

}  // namespace

Bytes checked_bytes(const py::array& array, const char* name, py::ssize_t dimensions) {
  const std::string who(name);
  if (!array.dtype().is(py::dtype::of<std::uint8_t>())) {
    const auto dtype = py::str(array.dtype()).cast<std::string>();
    throw py::value_error(who + " must be uint8, not " + dtype + "; convert it with astype");
  }
  if (array.ndim() != dimensions) {
    throw py::value_error(who + " must have " + std::to_string(dimensions) +
                          " dimensions, but its shape is " + shape_text(array));
  }
  if ((array.flags() & py::array::c_style) == 0) {
    throw py::value_error(who + " of shape " + shape_text(array) +
                          " is not contiguous; pass it through numpy.ascontiguousarray");
  }
  return py::reinterpret_borrow<Bytes>(array);
}

void check_shape(const Bytes& array, const char* name, std::size_t rows, std::size_t cols) {
  if (extent(array, 0) == rows && extent(array, 1) == cols) return;
  throw py::value_error(std::string(name) + " must have the shape (" + std::to_string(rows) + ", " +
                        std::to_string(cols) + "), not " + shape_text(array));
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
