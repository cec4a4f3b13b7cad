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
  Status open(const Sections& sections);

  // Cuts the one piece that is the whole text. Fails if a step makes the text too long.
  Status run(Pieces* pieces) const;

 private:
  void cut(const Step& step, Pieces* pieces) const;

  std::vector<Step> steps_;
  CodePointTable classes_;
};

}  // namespace lamella
