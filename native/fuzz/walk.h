// Looks at everything that an artifact exposes, so that a sanitizer sees each byte that is read.
#pragma once

#include <cstdint>
#include <string>

#include "base/span.h"

namespace lamella::fuzz {

// One line for each thing that the file holds, or why it is refused.
std::string walk(Span<std::uint8_t> file);

}  // namespace lamella::fuzz
