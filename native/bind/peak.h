// The binding of kernels/peak.
#pragma once

#include <pybind11/pybind11.h>

#include "base/isa.h"

namespace lamella {

// Adds PeakKernel, peak_kernels() and peak_kernel(bits).
void bind_peak(pybind11::module_& module, IsaSet allowed);

}  // namespace lamella
