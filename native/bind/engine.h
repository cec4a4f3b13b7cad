// The binding of the engine: programs and sessions.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "base/status.h"
#include "engine/session.h"

namespace lamella {

// Constants of a program; the sizes of symbols that are chosen on opening.
using WeightBytes = pybind11::array_t<std::uint8_t, pybind11::array::c_style>;
using SymbolSizes = std::map<std::string, std::uint32_t>;

// Raises ValueError with the sentence of a failure.
void require(const Status& status);

// Reads a program and opens a session of it; `program` and the weights must outlive the session.
std::unique_ptr<Session> open_session(const pybind11::bytes& text, const WeightBytes& weights,
                                      std::size_t threads, const SymbolSizes& symbols,
                                      Program* program);

// Adds Session and engine_operations().
void bind_engine(pybind11::module_& module);

}  // namespace lamella
