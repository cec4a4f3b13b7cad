// The window of a convolution or a pool as Python gives it.
#pragma once

#include <pybind11/pybind11.h>

#include <array>
#include <cstdint>

#include "kernels/window/window.h"

namespace lamella {

// Numbers of the y and the x axis.
using Pair = std::array<std::int64_t, 2>;
// Top, left, bottom, right.
using Sides = std::array<std::int64_t, 4>;

struct WindowSizes {
  Pair kernel;
  Pair stride{1, 1};
  Sides padding{};
  Pair dilation{1, 1};
};

// The window over `images` of some height and width. Raises ValueError where it does not fit.
Window window_over(const WindowSizes& sizes, std::size_t images, std::size_t height,
                   std::size_t width);

// Adds Window.
void bind_window(pybind11::module_& module);

}  // namespace lamella
