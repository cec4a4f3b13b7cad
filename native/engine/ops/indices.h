// Numbers of rows that come from outside: checked once, and used from a copy that nobody changes.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/status.h"
#include "engine/types.h"

namespace lamella {

// Copies int32 numbers to `to`. Fails for one that is not in [0, limit); `what` names them.
Status copy_indices(const Tensor& given, std::size_t limit, const char* what, std::int32_t* to);

}  // namespace lamella
