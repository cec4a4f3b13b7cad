#include "engine/tokenizer/chat_template.h"

#include <cstdint>

#include "engine/tokenizer/utf8.h"

namespace lamella {
namespace {

constexpr std::string_view kRoles[] = {"system", "user", "assistant"};
constexpr std::size_t kRoleCount = 3;
constexpr std::size_t kBefore = kRoleCount + 1, kAfter = kRoleCount + 2;
constexpr std::size_t kEnd = kRoleCount, kGenerate = kRoleCount + 1;
// Before the texts: what is stripped of each role, and the offset and size of each text.
constexpr std::size_t kNumbers = kRoleCount + 2 * kBefore * kAfter;
constexpr std::uint32_t kStripLeft = 1, kStripRight = 2;

// What Python strips, which is what templates are written in.
bool is_stripped(std::uint32_t code) { return is_space(code) || (code >= 0x1C && code <= 0x1F); }

// The index of a role, or kRoleCount.
std::size_t role_of(std::string_view name) {
  std::size_t role = 0;
  while (role < kRoleCount && kRoles[role] != name) ++role;
  return role;
}

std::string in_message(std::size_t number) { return " in message " + std::to_string(number); }

}  // namespace

Status ChatTemplate::open(const TokenizerSections& sections) {
  bytes_ = sections.bytes(TokenizerSection::kChat);
  rows_ = Words(bytes_);
  if (bytes_.empty()) return Status::success();
  if (rows_.size() < kNumbers) return bad_tokenizer("a chat template that is cut off");
  for (std::size_t i = 0; i < kRoleCount; ++i) {
    if (rows_[i] > (kStripLeft | kStripRight)) return bad_tokenizer("a role of the chat template");
  }
  for (std::size_t i = kRoleCount; i < kNumbers; i += 2) {
    const std::size_t offset = rows_[i], size = rows_[i + 1];
    if (offset == kNoToken && size == 0) continue;
    std::string unused;
    if (offset > bytes_.size() || size > bytes_.size() - offset ||
        !repair_utf8(bytes_.substr(offset, size), &unused)) {
      return bad_tokenizer("a text of the chat template");
    }
  }
  return Status::success();
}

Status ChatTemplate::apply(Span<ChatMessage> messages, bool generate, std::string* text) const {
  if (bytes_.empty()) {
    return Status::failure(
        "the tokenizer has no chat template; write the prompt as the model wants it");
  }
  std::size_t before = 0, number = 0;
  for (const ChatMessage& message : messages) {
    const std::size_t role = role_of(message.role);
    if (role == kRoleCount) {
      return Status::failure("the role \"" + std::string(message.role) + "\"" + in_message(number) +
                             " is not system, user or assistant");
    }
    const std::size_t found = place(before, role);
    if (rows_[found] == kNoToken) {
      return Status::failure("the chat template has no place for the role " +
                             std::string(kRoles[role]) + in_message(number) +
                             "; order the messages as the model wants them");
    }
    append(found, text);
    append_stripped(role, message.content, text);
    before = role + 1;
    ++number;
  }
  const std::size_t last = place(before, generate ? kGenerate : kEnd);
  if (rows_[last] == kNoToken) {
    return Status::failure("the chat template cannot end after " + std::to_string(number) +
                           " messages; order the messages as the model wants them");
  }
  append(last, text);
  return Status::success();
}

std::size_t ChatTemplate::place(std::size_t before, std::size_t after) const {
  return kRoleCount + 2 * (before * kAfter + after);
}

void ChatTemplate::append(std::size_t place, std::string* text) const {
  text->append(bytes_.substr(rows_[place], rows_[place + 1]));
}

void ChatTemplate::append_stripped(std::size_t role, std::string_view content,
                                   std::string* text) const {
  std::string valid;
  repair_utf8(content, &valid);
  std::string_view kept = valid;
  if ((rows_[role] & kStripLeft) != 0) kept.remove_prefix(leading(kept, is_stripped));
  if ((rows_[role] & kStripRight) != 0) kept.remove_suffix(trailing(kept, is_stripped));
  text->append(kept);
}

}  // namespace lamella
