#include "bind/activation.h"

#include <pybind11/pybind11.h>

namespace lamella {
namespace {

constexpr const char* kNames[] = {
    "none",
#define LAMELLA_ACTIVATION(name, function) #function,
#include "kernels/math/activations.inc"
#undef LAMELLA_ACTIVATION
};

}  // namespace

Activation checked_activation(const std::string& name) {
  std::string listed;
  int number = 0;
  for (const char* known : kNames) {
    if (name == known) return static_cast<Activation>(number);
    listed += (number++ == 0 ? "" : ", ") + std::string(known);
  }
  throw pybind11::value_error("activation must be one of " + listed + ", not " + name);
}

}  // namespace lamella
