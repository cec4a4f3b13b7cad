// The names of the activations that may follow a layer.
#pragma once

namespace lamella {

enum class Activation {
  kNone,
#define LAMELLA_ACTIVATION(name, function) name,
#include "kernels/math/activations.inc"
#undef LAMELLA_ACTIVATION
};

}  // namespace lamella
