#include "engine/file/sentence.h"

#include <algorithm>

namespace lamella::file {
namespace {

constexpr std::size_t kMostShown = 80;

bool follows(char byte) { return (static_cast<unsigned char>(byte) & 0xc0) == 0x80; }

// The bytes of the code point that `text` begins with, or 0 where it begins with none.
std::size_t code_point_bytes(std::string_view text) {
  const auto first = static_cast<unsigned char>(text[0]);
  if (first < 0x80) return 1;
  const std::size_t bytes = first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
  if (bytes == 0 || first > 0xf4 || text.size() < bytes) return 0;
  if (!std::all_of(text.begin() + 1, text.begin() + bytes, follows)) return 0;
  const auto second = static_cast<unsigned char>(text[1]);
  // Longer forms than needed, halves of surrogate pairs, and what lies beyond U+10FFFF.
  if (first == 0xe0 && second < 0xa0) return 0;
  if (first == 0xed && second > 0x9f) return 0;
  if (first == 0xf0 && second < 0x90) return 0;
  if (first == 0xf4 && second > 0x8f) return 0;
  return bytes;
}

}  // namespace

std::string printable(std::string_view text, std::size_t most) {
  std::string shown;
  for (const char letter : text.substr(0, most)) {
    const bool plain = letter >= ' ' && letter <= '~';
    shown += plain ? letter : '?';
  }
  return shown + (text.size() > most ? "..." : "");
}

std::string quoted(std::string_view text) { return "'" + printable(text, kMostShown) + "'"; }

std::size_t utf8_end(std::string_view text) {
  std::size_t place = 0;
  while (place < text.size()) {
    const std::size_t bytes = code_point_bytes(text.substr(place));
    if (bytes == 0) break;
    place += bytes;
  }
  return place;
}

std::size_t letters(std::string_view text) {
  return text.size() - static_cast<std::size_t>(std::count_if(text.begin(), text.end(), follows));
}

}  // namespace lamella::file
