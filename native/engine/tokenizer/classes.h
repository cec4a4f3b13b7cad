// Which characters are letters and numbers.
#pragma once

#include <cstdint>

#include "base/status.h"
#include "engine/tokenizer/sections.h"

namespace lamella {

// A table of (first code point, value) wherever a value changes. Code points are below 0x110000.
class CodePointTable {
 public:
  // `limit` is above every value. An empty section gives 0 for every code point.
  Status open(const TokenizerSections& sections, TokenizerSection section, std::uint32_t limit);

  bool is_empty() const { return rows_.size() == 0; }

  std::uint32_t operator[](std::uint32_t code) const {
    return code < kDirect ? direct_[code] : find(code);
  }

 private:
  static constexpr std::uint32_t kDirect = 0x180;

  std::uint32_t find(std::uint32_t code) const;

  Words rows_;
  std::uint8_t direct_[kDirect] = {};
};

// Values of the table of classes: bits, all below 32.
constexpr std::uint32_t kLetter = 1;   // \p{L}
constexpr std::uint32_t kNumber = 2;   // \p{N}
constexpr std::uint32_t kNumeric = 4;  // what Digits cuts
constexpr std::uint32_t kUpper = 8;    // [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]
constexpr std::uint32_t kLower = 16;   // [\p{Ll}\p{Lm}\p{Lo}\p{M}]

}  // namespace lamella
