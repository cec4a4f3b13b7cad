// The names of the activations that may follow a layer.
#pragma once

namespace lamella {

enum class Activation {
  kNone,
#define LAMELLA_ACTIVATION(name, function) name,
#include "kernels/math/activations.inc"
#undef LAMELLA_ACTIVATION
};

// How many there are, kNone included.
inline constexpr int kActivations = 1
#define LAMELLA_ACTIVATION(name, function) +1
#include "kernels/math/activations.inc"
#undef LAMELLA_ACTIVATION
    ;

}  // namespace lamella
