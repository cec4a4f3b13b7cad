// Text from tokens, one by one.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "engine/tokenizer/steps.h"
#include "engine/tokenizer/utf8.h"
#include "engine/tokenizer/vocabulary.h"

namespace lamella {

// How a tokenizer makes text of tokens: its decoder, read from the blob.
struct TextRules {
  Status open(const TokenizerSections& sections);

  // Without `first` where the decoder has no such step.
  TextStep replace{};
  TextStep strip{};
  bool byte_tokens = false;
};

// Gives out whole characters only. Bytes that are no character become U+FFFD: the longest start of
// a character at a time where tokens spell bytes, and for byte tokens each byte of a run of them
// that as a whole is not valid. Such a run is therefore held back until another token ends it.
class TokenStream {
 public:
  // Both must outlive the stream. `skip_special` leaves out special tokens.
  TokenStream(const Vocabulary& vocabulary, const TextRules& rules, bool skip_special);

  // Appends what is certain after one more token. An id that is no token adds nothing.
  void push(std::int32_t id, std::string* text);

  // Appends what was held back. The stream then begins anew.
  void finish(std::string* text);

 private:
  void end_run(std::string* text);
  // Appends text behind the spaces that are stripped at the start.
  void give(std::string_view part, std::string* text);

  const Vocabulary& vocabulary_;
  const TextRules& rules_;
  bool skip_special_;
  std::size_t to_strip_;
  // The bytes of a run of byte tokens.
  std::string run_;
  Utf8Repair repair_;
};

}  // namespace lamella
