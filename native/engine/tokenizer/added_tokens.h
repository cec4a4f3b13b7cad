// Tokens that are found in a text before anything else.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "engine/tokenizer/vocabulary.h"

namespace lamella {

// A part of a text: an added token, or what stands between them (id kNoToken).
struct TextSegment {
  std::size_t begin;
  std::size_t end;
  std::uint32_t id;
};

class AddedTokens {
 public:
  Status open(const TokenizerSections& sections, TokenizerSection section,
              const Vocabulary& vocabulary);

  // Cuts a text at the leftmost tokens, the longest where several begin together.
  std::vector<TextSegment> find(std::string_view text) const;

 private:
  // A row of the section: where the text of the token is, its id, and whether it takes the spaces
  // before and after it.
  std::string_view content(std::size_t row) const;
  std::uint32_t column(std::size_t row, std::size_t i) const { return rows_[1 + 4 * row + i]; }

  // The row of the longest token at a place, or count_.
  std::size_t longest(std::string_view text) const;

  std::string_view bytes_;
  Words rows_;
  std::size_t count_ = 0;
  bool begins_[256] = {};
};

}  // namespace lamella
