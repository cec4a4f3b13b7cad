// Conversations as the text that a model was trained on.
#pragma once

#include <string>
#include <string_view>

#include "base/span.h"
#include "base/status.h"
#include "engine/tokenizer/sections.h"

namespace lamella {

// `role` is "system", "user" or "assistant"; `content` is any text.
struct ChatMessage {
  std::string_view role;
  std::string_view content;
};

// What was compiled from a chat template: the texts between the contents of messages.
class ChatTemplate {
 public:
  Status open(const TokenizerSections& sections);

  // Appends the text of a conversation, which is valid UTF-8. With `generate`, it ends where the
  // assistant begins to answer. Fails for a role that is unknown or cannot stand in its place, and
  // without a template.
  Status apply(Span<ChatMessage> messages, bool generate, std::string* text) const;

 private:
  // The text between two neighbours: `before` is 0 for the start or a role, `after` a role, the
  // end or the answer.
  std::size_t place(std::size_t before, std::size_t after) const;
  void append(std::size_t place, std::string* text) const;
  void append_stripped(std::size_t role, std::string_view content, std::string* text) const;

  std::string_view bytes_;
  Words rows_;
};

}  // namespace lamella
