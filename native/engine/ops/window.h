// The window of a convolution or pool among the integers of a call.
#pragma once

#include <cstddef>

#include "engine/check.h"
#include "kernels/window/window.h"

namespace lamella {

inline constexpr std::size_t kWindowIntegers = 10;

// Checks the 10 integers from number `first` on, and that they make an image of the sizes of the
// result out of operand 0, which both are (images, height, width, channels). The channels are not
// looked at.
void check_window(Check& check, const Call& call, std::size_t first);

// The window of a checked call.
Window window_of(const Call& call, std::size_t first);

}  // namespace lamella
