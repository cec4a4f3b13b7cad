// Loops over slices, with or without a pool of threads.
#pragma once

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

// Calls body(part, Slice) once for each thread of the pool, part being its number, with the parts
// of [0, count); on this thread where there is no pool.
template <typename Body>
void run_parts(ThreadPool* pool, std::size_t count, const Body& body) {
  if (pool == nullptr) return body(std::size_t{0}, Slice{0, count});
  const std::size_t parts = pool->threads();
  pool->run(parts, [&](Slice threads) {
    for (std::size_t part = threads.begin; part < threads.end; ++part) {
      body(part, slice_of(count, parts, part));
    }
  });
}

}  // namespace lamella
