// Arrays as the engine sees them.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/axes.h"

namespace lamella {

// The numbers are those of a program's file.
enum class DType : std::uint8_t { kF32, kF16, kI8, kU8, kI32, kI64, kBool };

inline constexpr std::uint8_t kDTypes = 7;

constexpr std::size_t bytes_of(DType dtype) {
  switch (dtype) {
    case DType::kF32:
    case DType::kI32:
      return 4;
    case DType::kF16:
      return 2;
    case DType::kI64:
      return 8;
    default:
      return 1;
  }
}

// An array in C order.
struct Tensor {
  DType dtype;
  std::size_t rank;
  std::size_t sizes[kMostAxes];
  void* data;

  // The elements of the axes from `begin` to before `end`.
  std::size_t count(std::size_t begin, std::size_t end) const {
    std::size_t all = 1;
    for (std::size_t i = begin; i < end; ++i) all *= sizes[i];
    return all;
  }
  std::size_t count() const { return count(0, rank); }
  std::size_t bytes() const { return count() * bytes_of(dtype); }

  std::size_t last() const { return rank == 0 ? 1 : sizes[rank - 1]; }
  // The elements of all axes but the last.
  std::size_t rows() const { return rank == 0 ? 1 : count(0, rank - 1); }

  template <typename Item>
  Item* as() const {
    return static_cast<Item*>(data);
  }
};

}  // namespace lamella
