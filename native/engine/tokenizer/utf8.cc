#include "engine/tokenizer/utf8.h"

namespace lamella {
namespace {

constexpr char kReplacement[] = "\xEF\xBF\xBD";

}  // namespace

Character character_at(std::string_view text, std::size_t at) {
  const auto byte = [text, at](std::size_t i) {
    return std::uint32_t{static_cast<unsigned char>(text[at + i])};
  };
  const std::uint32_t first = byte(0);
  if (first < 0x80) return {first, 1};
  if (first < 0xE0) return {(first & 0x1F) << 6 | (byte(1) & 0x3F), 2};
  if (first < 0xF0) return {(first & 0x0F) << 12 | (byte(1) & 0x3F) << 6 | (byte(2) & 0x3F), 3};
  return {(first & 0x07) << 18 | (byte(1) & 0x3F) << 12 | (byte(2) & 0x3F) << 6 | (byte(3) & 0x3F),
          4};
}

void append_character(std::uint32_t code, std::string* text) {
  const auto add = [text](std::uint32_t byte) { text->push_back(static_cast<char>(byte)); };
  if (code < 0x80) {
    add(code);
  } else if (code < 0x800) {
    add(0xC0 | code >> 6);
    add(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    add(0xE0 | code >> 12);
    add(0x80 | (code >> 6 & 0x3F));
    add(0x80 | (code & 0x3F));
  } else {
    add(0xF0 | code >> 18);
    add(0x80 | (code >> 12 & 0x3F));
    add(0x80 | (code >> 6 & 0x3F));
    add(0x80 | (code & 0x3F));
  }
}

void Utf8Repair::push(std::string_view bytes, std::string* text) {
  for (const char item : bytes) {
    const auto byte = static_cast<unsigned char>(item);
    if (missing_ > 0 && (byte < low_ || byte > high_)) replace(text);
    if (missing_ == 0) {
      start(byte, text);
      continue;
    }
    low_ = 0x80;
    high_ = 0xBF;
    if (--missing_ > 0) {
      held_[size_++] = item;
      continue;
    }
    text->append(held_, size_);
    text->push_back(item);
    size_ = 0;
  }
}

void Utf8Repair::finish(std::string* text) {
  if (missing_ > 0) replace(text);
}

void Utf8Repair::start(unsigned char byte, std::string* text) {
  if (byte < 0x80) {
    text->push_back(static_cast<char>(byte));
    return;
  }
  if (byte < 0xC2 || byte > 0xF4) {
    replace(text);
    return;
  }
  missing_ = byte < 0xE0 ? 1 : byte < 0xF0 ? 2 : 3;
  // These four would begin a longer form than needed, half a surrogate pair, or a code too high.
  if (byte == 0xE0) low_ = 0xA0;
  if (byte == 0xF0) low_ = 0x90;
  if (byte == 0xED) high_ = 0x9F;
  if (byte == 0xF4) high_ = 0x8F;
  held_[size_++] = static_cast<char>(byte);
}

void Utf8Repair::replace(std::string* text) {
  text->append(kReplacement);
  size_ = missing_ = 0;
  low_ = 0x80;
  high_ = 0xBF;
  replaced_ = true;
}

bool repair_utf8(std::string_view bytes, std::string* text) {
  Utf8Repair repair;
  text->reserve(text->size() + bytes.size());
  repair.push(bytes, text);
  repair.finish(text);
  return !repair.replaced();
}

std::size_t leading(std::string_view text, bool (*is_in)(std::uint32_t)) {
  std::size_t at = 0;
  while (at < text.size()) {
    const Character next = character_at(text, at);
    if (!is_in(next.code)) break;
    at += next.bytes;
  }
  return at;
}

std::size_t trailing(std::string_view text, bool (*is_in)(std::uint32_t)) {
  std::size_t begin = text.size();
  while (begin > 0) {
    std::size_t at = begin - 1;
    while (at > 0 && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80) --at;
    if (!is_in(character_at(text, at).code)) break;
    begin = at;
  }
  return text.size() - begin;
}

bool is_space(std::uint32_t code) {
  if (code < 0x80) return code == 0x20 || (code >= 0x09 && code <= 0x0D);
  return code == 0x85 || code == 0xA0 || code == 0x1680 || (code >= 0x2000 && code <= 0x200A) ||
         code == 0x2028 || code == 0x2029 || code == 0x202F || code == 0x205F || code == 0x3000;
}

}  // namespace lamella
