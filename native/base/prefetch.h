// Asking for a line of the cache before it is read.
#pragma once

#include <cstddef>
#include <cstdint>

namespace lamella {

inline constexpr std::size_t kLineFloats = 16;

// Asks for the line of an address, which need not lie in an array, for the second cache.
inline void prefetch(std::uintptr_t address) {
  constexpr int kSecondCache = 2;  // as __builtin_prefetch numbers caches
  __builtin_prefetch(reinterpret_cast<const void*>(address), 0, kSecondCache);
}

// The same for `offset` floats behind `from`.
inline void prefetch(const float* from, std::size_t offset) {
  prefetch(reinterpret_cast<std::uintptr_t>(from) + offset * sizeof(float));
}

}  // namespace lamella
