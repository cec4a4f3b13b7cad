// Shorthands for operations.
#pragma once

#include "base/loops.h"
#include "engine/check.h"
#include "engine/op.h"

namespace lamella {

// Splits memory into arrays that begin at multiples of 64. With null it only counts.
class Scratch {
 public:
  explicit Scratch(std::uint8_t* data) : data_(data) {}

  template <typename Item>
  Item* take(std::size_t count) {
    std::uint8_t* at = data_ == nullptr ? nullptr : data_ + used_;
    used_ += (count * sizeof(Item) + 63) / 64 * 64;
    return reinterpret_cast<Item*>(at);
  }

  std::size_t used() const { return used_; }

 private:
  std::uint8_t* data_;
  std::size_t used_ = 0;
};

// The elements of an operand that may be left out.
template <typename Item>
const Item* items_of(const Tensor* tensor) {
  return tensor == nullptr ? nullptr : tensor->as<const Item>();
}

}  // namespace lamella
