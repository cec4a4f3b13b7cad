// Ids from text and text from ids, as the tokenizer.json of a model says.
//
// What the Python library `tokenizers` does with that file is the definition. The file is compiled
// at lowering into tokenizer.bin, which engine/TOKENIZER.md specifies; it is read in place.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/span.h"
#include "base/status.h"
#include "engine/tokenizer/added_tokens.h"
#include "engine/tokenizer/chat_template.h"
#include "engine/tokenizer/normalizer.h"
#include "engine/tokenizer/pre_tokenizer.h"
#include "engine/tokenizer/token_stream.h"
#include "engine/tokenizer/vocabulary.h"

namespace lamella {

class Bpe;

// Many threads may use one tokenizer at once.
class Tokenizer {
 public:
  Tokenizer() = default;
  Tokenizer(const Tokenizer&) = delete;
  Tokenizer& operator=(const Tokenizer&) = delete;

  // Checks the whole blob, which must outlive the tokenizer. Called once.
  Status open(Span<std::uint8_t> blob);

  // Every id is below this.
  std::size_t size() const { return vocabulary_.size(); }

  // Appends the ids of a text; bytes that are not UTF-8 are taken for U+FFFD. With `add_special`,
  // the ids come first and last that the model wants around a text. Fails, and may have appended
  // some, for a text of more than 2^28 bytes and where memory ends.
  Status encode(std::string_view text, bool add_special, std::vector<std::int32_t>* ids) const;

  // Appends valid UTF-8. An id that is no token gives nothing.
  void decode(Span<std::int32_t> ids, bool skip_special, std::string* text) const;

  // Appends the text of a conversation, to be encoded without `add_special`: the text has the
  // special tokens in it. With `generate`, it ends where the assistant begins to answer.
  Status apply_chat(Span<ChatMessage> messages, bool generate, std::string* text) const {
    return chat_.apply(messages, generate, text);
  }

  // The tokenizer must outlive the stream.
  TokenStream stream(bool skip_special) const;

 private:
  Status open_template(const TokenizerSections& sections);
  Status encode_text(std::string_view text, std::vector<std::int32_t>* ids) const;
  Status encode_segment(std::string text, bool at_start, Bpe* bpe,
                        std::vector<std::int32_t>* ids) const;

  Vocabulary vocabulary_;
  AddedTokens added_;
  AddedTokens added_normalized_;
  Normalizer normalizer_;
  PreTokenizer pre_tokenizer_;
  TextRules text_rules_;
  ChatTemplate chat_;
  // The counts of ids before and after a text, then the ids.
  Words template_;
};

}  // namespace lamella
