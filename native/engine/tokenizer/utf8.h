// UTF-8: reading characters of valid text, and making valid text of any bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace lamella {

struct Character {
  std::uint32_t code;
  std::uint32_t bytes;
};

// The character that starts at `at`. Requires: `text` is valid UTF-8 and `at` is inside.
Character character_at(std::string_view text, std::size_t at);

void append_character(std::uint32_t code, std::string* text);

// Makes valid UTF-8 of bytes that come in parts: what cannot be part of a character becomes
// U+FFFD, once for each longest start of a character (Unicode 15.0, section 3.9, "substitution of
// maximal subparts"). The start of a character is held back until it is whole.
class Utf8Repair {
 public:
  void push(std::string_view bytes, std::string* text);
  void finish(std::string* text);

  // Whether something had to be replaced so far.
  bool replaced() const { return replaced_; }

 private:
  void start(unsigned char byte, std::string* text);
  void replace(std::string* text);

  char held_[3] = {};
  std::size_t size_ = 0;
  std::size_t missing_ = 0;
  // What the next byte may be.
  unsigned char low_ = 0x80;
  unsigned char high_ = 0xBF;
  bool replaced_ = false;
};

// Returns the valid text of some bytes, and whether they were valid.
bool repair_utf8(std::string_view bytes, std::string* text);

// The bytes of the characters at the start, or at the end, of valid text that are all in a set.
std::size_t leading(std::string_view text, bool (*is_in)(std::uint32_t));
std::size_t trailing(std::string_view text, bool (*is_in)(std::uint32_t));

// The property White_Space of Unicode, which is also \s of the expressions.
bool is_space(std::uint32_t code);

}  // namespace lamella
