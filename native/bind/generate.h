// The binding of engine/generate.
#pragma once

#include <pybind11/pybind11.h>

namespace lamella {

// Adds Generator.
void bind_generate(pybind11::module_& module);

}  // namespace lamella
