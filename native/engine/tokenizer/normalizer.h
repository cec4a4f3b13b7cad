// What happens to a text between added tokens before it is cut.
#pragma once

#include <string>
#include <vector>

#include "base/status.h"
#include "engine/tokenizer/compose.h"
#include "engine/tokenizer/steps.h"

namespace lamella {

class Normalizer {
 public:
  Status open(const TokenizerSections& sections);

  // Fails if a step makes the text too long.
  Status run(std::string* text) const;

 private:
  std::vector<TextStep> steps_;
  Composer composer_;
};

}  // namespace lamella
