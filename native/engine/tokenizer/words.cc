// The cuts that tokenizer.json writes as regular expressions; TOKENIZER.md lists them.
#include "engine/tokenizer/pieces.h"
#include "engine/tokenizer/utf8.h"

namespace lamella {
namespace {

constexpr std::uint32_t kWord = kLetter | kNumber | kSpace;

std::size_t end_of(const Characters& in, std::size_t at, std::uint32_t kinds) {
  while (at < in.size() && in.is(at, kinds)) ++at;
  return at;
}

// What is neither letter, number nor space.
std::size_t others_end(const Characters& in, std::size_t at) {
  while (at < in.size() && !in.is(at, kWord)) ++at;
  return at;
}

bool is_newline(std::uint32_t code) { return code == '\r' || code == '\n'; }

// Without case, the long s U+017F is an s too.
std::uint32_t folded(std::uint32_t code) {
  if (code >= 'A' && code <= 'Z') return code + ('a' - 'A');
  return code == 0x17F ? 's' : code;
}

// How many characters are one of 's 't 're 've 'm 'll 'd; 0 if none is.
std::size_t contraction(const Characters& in, std::size_t at, bool any_case) {
  const auto code = [&in, any_case](std::size_t i) -> std::uint32_t {
    if (i >= in.size()) return 0;
    return any_case ? folded(in.code[i]) : in.code[i];
  };
  if (in.code[at] != '\'') return 0;
  const std::uint32_t first = code(at + 1), second = code(at + 2);
  if (first == 's' || first == 't' || first == 'm' || first == 'd') return 2;
  if ((first == 'r' || first == 'v') && second == 'e') return 3;
  return first == 'l' && second == 'l' ? 3 : 0;
}

// Spaces before a word leave it the last one.
std::size_t spaces_end(const Characters& in, std::size_t at) {
  const std::size_t end = end_of(in, at, kSpace);
  return end == in.size() || end - at == 1 ? end : end - 1;
}

// Skips one space in front of something.
std::size_t after_space(const Characters& in, std::size_t at) {
  return in.code[at] == ' ' && at + 1 < in.size() ? at + 1 : at;
}

// The end of punctuation with the line ends behind it, or of spaces: what is no word.
std::size_t rest_end(const Characters& in, std::size_t at, bool slashes) {
  const std::size_t start = after_space(in, at);
  if (!in.is(start, kWord)) {
    std::size_t end = others_end(in, start);
    while (end < in.size() && (is_newline(in.code[end]) || (slashes && in.code[end] == '/'))) ++end;
    return end;
  }
  std::size_t newline = end_of(in, at, kSpace);
  while (newline > at && !is_newline(in.code[newline - 1])) --newline;
  return newline > at ? newline : spaces_end(in, at);
}

// The end of a word that begins with any number of capitals and ends with small letters, at least
// one; 0 if there is none. Letters without case are both, so capitals may have to give some back.
std::size_t lower_word_end(const Characters& in, std::size_t at) {
  std::size_t end = end_of(in, at, kUpper);
  if (end < in.size() && in.is(end, kLower)) return end_of(in, end, kLower);
  while (end > at && !in.is(end - 1, kLower)) --end;
  return end > at ? end : 0;
}

// The same for a word of at least one capital.
std::size_t upper_word_end(const Characters& in, std::size_t at) {
  const std::size_t end = end_of(in, at, kUpper);
  return end > at ? end_of(in, end, kLower) : 0;
}

}  // namespace

void Characters::read(const TextPieces& in, const TextPiece& piece, const CodePointTable& classes) {
  code.clear();
  kind.clear();
  offset.clear();
  for (std::uint32_t at = piece.begin; at < piece.end;) {
    const Character next = character_at(in.text, at);
    code.push_back(next.code);
    kind.push_back(classes[next.code] | (is_space(next.code) ? kSpace : 0));
    offset.push_back(at);
    at += next.bytes;
  }
  offset.push_back(piece.end);
}

std::size_t gpt2_word_end(const Characters& in, std::size_t at) {
  const std::size_t short_form = contraction(in, at, false);
  if (short_form > 0) return at + short_form;
  const std::size_t start = after_space(in, at);
  if (in.is(start, kLetter)) return end_of(in, start, kLetter);
  if (in.is(start, kNumber)) return end_of(in, start, kNumber);
  return in.is(start, kSpace) ? spaces_end(in, at) : others_end(in, start);
}

std::size_t llama3_word_end(const Characters& in, std::size_t at, std::size_t most_digits) {
  const std::size_t short_form = contraction(in, at, true);
  if (short_form > 0) return at + short_form;
  if (in.is(at, kLetter)) return end_of(in, at, kLetter);
  if (in.is(at, kNumber)) return numbers_end(in, at, most_digits);
  if (!is_newline(in.code[at]) && at + 1 < in.size() && in.is(at + 1, kLetter)) {
    return end_of(in, at + 1, kLetter);
  }
  return rest_end(in, at, false);
}

std::size_t cased_word_end(const Characters& in, std::size_t at, std::size_t most_digits,
                           bool contractions) {
  // One character in front that is neither letter nor number belongs to the word, if there is one.
  const bool has_front =
      !is_newline(in.code[at]) && !in.is(at, kLetter | kNumber) && at + 1 < in.size();
  std::size_t end = 0;
  for (const auto& word : {lower_word_end, upper_word_end}) {
    if (end == 0 && has_front) end = word(in, at + 1);
    if (end == 0) end = word(in, at);
  }
  if (end == 0) {
    return in.is(at, kNumber) ? numbers_end(in, at, most_digits) : rest_end(in, at, true);
  }
  return contractions && end < in.size() ? end + contraction(in, end, true) : end;
}

std::size_t digits_end(const Characters& in, std::size_t at, bool individual) {
  const bool numeric = in.is(at, kNumeric);
  if (numeric && individual) return at + 1;
  while (at < in.size() && in.is(at, kNumeric) == numeric) ++at;
  return at;
}

std::size_t numbers_end(const Characters& in, std::size_t at, std::size_t most_digits) {
  if (!in.is(at, kNumber)) {
    while (at < in.size() && !in.is(at, kNumber)) ++at;
    return at;
  }
  std::size_t end = at;
  while (end < in.size() && end - at < most_digits && in.is(end, kNumber)) ++end;
  return end;
}

}  // namespace lamella
