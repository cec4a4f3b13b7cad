// A smaller processor for a whole process: what others compute here with fewer instructions.
#pragma once

#include <pybind11/pybind11.h>

namespace lamella {

// Adds can_hide_features(), hide_features() and hidden_beyond().
void bind_cpuid_mask(pybind11::module_& module);

}  // namespace lamella
