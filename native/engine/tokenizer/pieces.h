// A text that is cut into pieces, and the cuts that look at characters.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/tokenizer/classes.h"
#include "engine/tokenizer/steps.h"

namespace lamella {

// Offsets into a text; a piece is never empty.
struct TextPiece {
  std::uint32_t begin;
  std::uint32_t end;
};

struct TextPieces {
  std::string text;
  std::vector<TextPiece> pieces;
  // Whether the text begins where the whole input begins.
  bool at_start;

  std::string_view view(const TextPiece& piece) const {
    return std::string_view(text).substr(piece.begin, piece.end - piece.begin);
  }
};

// Beside the bits of the table of classes.
constexpr std::uint32_t kSpace = 32;

// The characters of one piece.
struct Characters {
  std::vector<std::uint32_t> code;
  std::vector<std::uint32_t> kind;
  // Where each character begins in the text, and the end of the piece.
  std::vector<std::uint32_t> offset;

  std::size_t size() const { return code.size(); }
  bool is(std::size_t at, std::uint32_t kinds) const { return (kind[at] & kinds) != 0; }

  void read(const TextPieces& in, const TextPiece& piece, const CodePointTable& classes);
};

// Each returns where the piece ends that begins with the character `at`.
std::size_t gpt2_word_end(const Characters& in, std::size_t at);
std::size_t llama3_word_end(const Characters& in, std::size_t at, std::size_t most_digits);
std::size_t cased_word_end(const Characters& in, std::size_t at, std::size_t most_digits,
                           bool contractions);
std::size_t digits_end(const Characters& in, std::size_t at, bool individual);
std::size_t numbers_end(const Characters& in, std::size_t at, std::size_t most_digits);

// Cuts `piece` at a fixed text, step.first; step.number says what becomes of the text itself.
void cut_at_literal(const TextStep& step, const TextPieces& in, const TextPiece& piece,
                    std::vector<TextPiece>* pieces);

}  // namespace lamella
