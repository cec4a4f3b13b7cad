// Memory that is zero at first and takes no place in RAM before it is written to.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <memory>

namespace lamella {

class ZeroedMemory {
 public:
  // Null data where there are not so many bytes.
  explicit ZeroedMemory(std::size_t bytes)
      : block_(bytes > SIZE_MAX - kAlign ? nullptr : std::calloc(bytes + kAlign, 1), &std::free) {}

  bool ok() const { return block_ != nullptr; }

  // At a multiple of 64.
  std::uint8_t* data() const {
    const auto address = reinterpret_cast<std::uintptr_t>(block_.get());
    return static_cast<std::uint8_t*>(block_.get()) + (kAlign - address % kAlign) % kAlign;
  }

 private:
  static constexpr std::size_t kAlign = 64;

  std::unique_ptr<void, void (*)(void*)> block_;
};

}  // namespace lamella
