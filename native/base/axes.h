// How many axes an array may have.
#pragma once

#include <cstddef>

namespace lamella {

inline constexpr std::size_t kMostAxes = 6;

}  // namespace lamella
