#include "engine/tokenizer/pre_tokenizer.h"

#include <string>
#include <utility>

namespace lamella {
namespace {

std::size_t end_of_next(const TextStep& step, const Characters& in, std::size_t at) {
  switch (step.kind) {
    case TextStepKind::kDigits:
      return digits_end(in, at, step.number != 0);
    case TextStepKind::kNumbers:
      return numbers_end(in, at, step.number);
    case TextStepKind::kWordsLlama3:
      return llama3_word_end(in, at, step.number);
    case TextStepKind::kWordsO200k:
      return cased_word_end(in, at, step.number, true);
    case TextStepKind::kWordsTekken:
      return cased_word_end(in, at, step.number, false);
    default:
      return gpt2_word_end(in, at);
  }
}

// Writes every piece anew, with a change of its text.
template <typename Change>
void rewrite(TextPieces* pieces, const Change& change) {
  std::string text;
  text.reserve(pieces->text.size());
  std::vector<TextPiece> changed;
  for (const TextPiece& piece : pieces->pieces) {
    const auto begin = static_cast<std::uint32_t>(text.size());
    change(piece, &text);
    const auto end = static_cast<std::uint32_t>(text.size());
    if (end != begin) changed.push_back({begin, end});
  }
  pieces->text = std::move(text);
  pieces->pieces = std::move(changed);
}

void add_prefixes(const TextStep& step, TextPieces* pieces) {
  const bool only_first = step.number != 0;
  rewrite(pieces, [&](const TextPiece& piece, std::string* text) {
    const std::string_view old = pieces->view(piece);
    const bool wanted = !only_first || (pieces->at_start && piece.begin == 0);
    if (wanted && old.substr(0, step.first.size()) != step.first) text->append(step.first);
    text->append(old);
  });
}

}  // namespace

Status check_text_size(std::size_t bytes) {
  if (bytes <= kMostText) return Status::success();
  return Status::failure("a text of " + std::to_string(bytes) + " bytes is longer than " +
                         std::to_string(kMostText) + "; encode it in parts");
}

Status PreTokenizer::open(const TokenizerSections& sections) {
  Status status = read_steps(sections, TokenizerSection::kPreTokenizer, &steps_);
  if (status.ok()) status = classes_.open(sections, TokenizerSection::kClasses, 32);
  for (const TextStep& step : steps_) {
    const bool counts =
        step.kind == TextStepKind::kWordsLlama3 || step.kind >= TextStepKind::kNumbers;
    if (status.ok() && counts && step.number == 0) {
      status = bad_tokenizer("a step that cuts numbers of no digit");
    }
  }
  return status;
}

Status PreTokenizer::run(TextPieces* pieces) const {
  pieces->pieces.clear();
  if (!pieces->text.empty()) {
    pieces->pieces.push_back({0, static_cast<std::uint32_t>(pieces->text.size())});
  }
  for (const TextStep& step : steps_) {
    if (step.kind == TextStepKind::kReplace) {
      rewrite(pieces, [&](const TextPiece& piece, std::string* text) {
        replace_all(step, pieces->view(piece), text);
      });
    } else if (step.kind == TextStepKind::kPrefix) {
      add_prefixes(step, pieces);
    } else {
      cut(step, pieces);
    }
    const Status status = check_text_size(pieces->text.size());
    if (!status.ok()) return status;
  }
  return Status::success();
}

void PreTokenizer::cut(const TextStep& step, TextPieces* pieces) const {
  std::vector<TextPiece> found;
  Characters characters;
  for (const TextPiece& piece : pieces->pieces) {
    if (step.kind == TextStepKind::kLiteral) {
      cut_at_literal(step, *pieces, piece, &found);
      continue;
    }
    characters.read(*pieces, piece, classes_);
    for (std::size_t at = 0; at < characters.size();) {
      const std::size_t end = end_of_next(step, characters, at);
      found.push_back({characters.offset[at], characters.offset[end]});
      at = end;
    }
  }
  pieces->pieces = std::move(found);
}

}  // namespace lamella
