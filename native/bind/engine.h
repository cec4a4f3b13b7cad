// The binding of the engine: programs and sessions.
#pragma once

#include <pybind11/pybind11.h>

namespace lamella {

// Adds Session and engine_operations().
void bind_engine(pybind11::module_& module);

}  // namespace lamella
