// The binding of base/threads.
#pragma once

#include <pybind11/pybind11.h>

#include "base/loops.h"

namespace lamella {

// Adds ThreadPool and usable_processors().
void bind_threads(pybind11::module_& module);

}  // namespace lamella
