// The binding of base/threads.
#pragma once

#include <pybind11/pybind11.h>

#include <cstddef>

#include "base/threads.h"

namespace lamella {

// Runs the whole loop on this thread where there is no pool.
template <typename Body>
void run_slices(ThreadPool* pool, std::size_t count, const Body& body) {
  if (pool != nullptr) {
    pool->run(count, body);
  } else if (count != 0) {
    body(Slice{0, count});
  }
}

// Adds ThreadPool and usable_processors().
void bind_threads(pybind11::module_& module);

}  // namespace lamella
