// Artifacts for Python, as engine/file reads them.
#pragma once

#include <pybind11/pybind11.h>

namespace lamella {

void bind_artifact(pybind11::module_& module);

}  // namespace lamella
