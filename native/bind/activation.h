// The activations of layers by name.
#pragma once

#include <string>

#include "kernels/math/activation.h"

namespace lamella {

// Raises ValueError unless `name` is "none" or in kernels/math/activations.inc.
Activation checked_activation(const std::string& name);

}  // namespace lamella
