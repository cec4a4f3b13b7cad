// The steps of the normalizer, the pre-tokenizer and the decoder as tokenizer.bin lists them.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "engine/tokenizer/sections.h"

namespace lamella {

enum class TextStepKind : std::uint32_t {
  kPrepend = 1,
  kReplace = 2,
  kCompose = 3,
  kDigits = 16,
  kWordsGpt2 = 17,
  kWordsLlama3 = 18,
  kLiteral = 19,
  kPrefix = 20,
  kNumbers = 21,
  kWordsO200k = 22,
  kWordsTekken = 23,
  kByteTokens = 32,
  kStripStart = 33,
};

// What `number`, `first` and `second` mean depends on the kind. The texts are valid UTF-8.
struct TextStep {
  TextStepKind kind;
  std::uint32_t number;
  std::string_view first;
  std::string_view second;
};

// Reads the steps of a section. Fails for a step that this section cannot have.
Status read_steps(const TokenizerSections& sections, TokenizerSection section,
                  std::vector<TextStep>* steps);

// Replaces every `step.first` of a text by `step.second`, from left to right.
void replace_all(const TextStep& step, std::string_view from, std::string* to);

}  // namespace lamella
