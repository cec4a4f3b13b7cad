// A fragment: the activation that a layer names. Included after one of value_<isa>.h and
// kernels/math/activation.h.
#include "kernels/math/activations.h"

inline Value activate(Activation activation, Value x) {
  switch (activation) {
    case Activation::kNone:
      return x;
#define LAMELLA_ACTIVATION(name, function) \
  case Activation::name:                   \
    return function(x);
#include "kernels/math/activations.inc"
#undef LAMELLA_ACTIVATION
  }
  return x;
}
