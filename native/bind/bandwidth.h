// How fast memory is read: what the speed of a kernel is compared with.
#pragma once

#include <pybind11/pybind11.h>

namespace lamella {

// Adds read_bytes().
void bind_bandwidth(pybind11::module_& module);

}  // namespace lamella
