#include "bind/window.h"

#include <pybind11/stl.h>

#include <string>

namespace lamella {
namespace {

namespace py = pybind11;

// Sizes beyond this are mistakes, and products of them with those of an image fit 64 bits.
constexpr std::int64_t kMost = 65535;

template <std::size_t kSize>
void check_numbers(const std::array<std::int64_t, kSize>& numbers, const char* name, int least) {
  for (const std::int64_t number : numbers) {
    if (number >= least && number <= kMost) continue;
    throw py::value_error(std::string(name) + " must be " + std::to_string(least) + " to " +
                          std::to_string(kMost) + ", not " + std::to_string(number));
  }
}

WindowAxis axis_of(const WindowSizes& sizes, std::size_t axis, std::size_t in) {
  const auto size = [](std::int64_t number) { return static_cast<std::size_t>(number); };
  const std::size_t kernel = size(sizes.kernel[axis]), stride = size(sizes.stride[axis]);
  const std::size_t dilation = size(sizes.dilation[axis]);
  const std::size_t before = size(sizes.padding[axis]);
  const std::size_t padded = in + before + size(sizes.padding[axis + 2]);
  const std::size_t span = (kernel - 1) * dilation + 1;
  if (span > padded) {
    throw py::value_error("a window that spans " + std::to_string(span) + " does not fit a " +
                          (axis == 0 ? "height" : "width") + " of " + std::to_string(padded) +
                          " with its padding");
  }
  return {in, (padded - span) / stride + 1, kernel, stride, dilation, before};
}

// Raises ValueError for numbers that no window has.
WindowSizes make_window(const Pair& kernel, const Pair& stride, const Sides& padding,
                        const Pair& dilation) {
  check_numbers(kernel, "kernel", 1);
  check_numbers(stride, "stride", 1);
  check_numbers(padding, "padding", 0);
  check_numbers(dilation, "dilation", 1);
  return {kernel, stride, padding, dilation};
}

}  // namespace

Window window_over(const WindowSizes& sizes, std::size_t images, std::size_t height,
                   std::size_t width) {
  return {images, axis_of(sizes, 0, height), axis_of(sizes, 1, width)};
}

void bind_window(py::module_& module) {
  using py::arg;
  py::class_<WindowSizes>(module, "Window")
      .def(py::init(&make_window), arg("kernel"), arg("stride") = Pair{1, 1},
           arg("padding") = Sides{0, 0, 0, 0}, arg("dilation") = Pair{1, 1})
      .def_readonly("kernel", &WindowSizes::kernel)
      .def_readonly("stride", &WindowSizes::stride)
      .def_readonly("padding", &WindowSizes::padding)
      .def_readonly("dilation", &WindowSizes::dilation);
}

}  // namespace lamella
