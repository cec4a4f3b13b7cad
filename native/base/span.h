// A pointer and a count: what C++17 lacks of std::span, as far as lamella needs it.
#pragma once

#include <cstddef>

namespace lamella {

template <typename Item>
class Span {
 public:
  constexpr Span(const Item* first, std::size_t size) : first_(first), size_(size) {}

  template <std::size_t kSize>
  constexpr Span(const Item (&items)[kSize])  // NOLINT(runtime/explicit): an array is a span
      : Span(items, kSize) {}

  constexpr const Item* begin() const { return first_; }
  constexpr const Item* end() const { return first_ + size_; }
  constexpr std::size_t size() const { return size_; }

 private:
  const Item* first_;
  std::size_t size_;
};

}  // namespace lamella
