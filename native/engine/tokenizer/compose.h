// Normalization form C.
//
// Source: Unicode Standard Annex #15, and Unicode 15.0, sections 3.11 and 3.12.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "engine/tokenizer/classes.h"

namespace lamella {

class Composer {
 public:
  Status open(const TokenizerSections& sections);

  // Returns valid UTF-8 in normalization form C.
  std::string composed(std::string_view text) const;

 private:
  // A character and its combining class.
  struct Mark {
    std::uint32_t code;
    std::uint32_t combining;
  };

  void decompose(std::uint32_t code, std::vector<Mark>* marks) const;
  // The character of two, or kNoToken.
  std::uint32_t composite(std::uint32_t first, std::uint32_t second) const;
  std::uint32_t stored_composite(std::uint32_t first, std::uint32_t second) const;

  // A count, then rows of (code point, offset, count), then the code points of all rows.
  Words decompositions_;
  std::size_t decomposed_ = 0;
  CodePointTable combining_;
  // Rows of (first, second, composite).
  Words compositions_;
};

}  // namespace lamella
