// The binding of engine/tokenizer.
#pragma once

#include <pybind11/pybind11.h>

namespace lamella {

// Adds Tokenizer and TokenStream.
void bind_tokenizer(pybind11::module_& module);

}  // namespace lamella
