// Cuts a text into the pieces that the model sees one by one.
#pragma once

#include <vector>

#include "base/status.h"
#include "engine/tokenizer/pieces.h"

namespace lamella {

// No text of the tokenizer may be longer, before or after a step.
constexpr std::size_t kMostText = std::size_t{1} << 28;

Status check_text_size(std::size_t bytes);

class PreTokenizer {
 public:
  Status open(const TokenizerSections& sections);

  // Cuts the one piece that is the whole text. Fails if a step makes the text too long.
  Status run(TextPieces* pieces) const;

 private:
  void cut(const TextStep& step, TextPieces* pieces) const;

  std::vector<TextStep> steps_;
  CodePointTable classes_;
};

}  // namespace lamella
