#include <algorithm>

#include "engine/tokenizer/pieces.h"

namespace lamella {
namespace {

// As stored in TextStep::number.
enum Behavior : std::uint32_t { kIsolated, kRemoved, kWithPrevious, kWithNext, kContiguous };

struct Part {
  TextPiece piece;
  bool matches;
};

std::vector<Part> parts_of(const TextStep& step, const TextPieces& in, const TextPiece& piece) {
  const std::string_view text = in.view(piece);
  std::vector<Part> parts;
  const auto add = [&parts, &piece](std::size_t begin, std::size_t end, bool matches) {
    if (begin == end) return;
    parts.push_back({{piece.begin + static_cast<std::uint32_t>(begin),
                      piece.begin + static_cast<std::uint32_t>(end)},
                     matches});
  };
  std::size_t at = 0;
  while (at < text.size()) {
    const std::size_t found = std::min(text.find(step.first, at), text.size());
    add(at, found, false);
    at = std::min(found + step.first.size(), text.size());
    add(found, at, true);
  }
  return parts;
}

// Joins a part with the one before it in the order of looking, where `joins(part, before)`.
template <typename Iterator, typename Joins>
std::vector<TextPiece> joined(Iterator first, Iterator last, const Joins& joins) {
  std::vector<TextPiece> pieces;
  bool before = false;
  for (; first != last; ++first) {
    const TextPiece& piece = first->piece;
    if (!pieces.empty() && joins(first->matches, before)) {
      TextPiece& end = pieces.back();
      end = {std::min(end.begin, piece.begin), std::max(end.end, piece.end)};
    } else {
      pieces.push_back(piece);
    }
    before = first->matches;
  }
  return pieces;
}

}  // namespace

void cut_at_literal(const TextStep& step, const TextPieces& in, const TextPiece& piece,
                    std::vector<TextPiece>* pieces) {
  std::vector<Part> parts = parts_of(step, in, piece);
  if (step.number == kRemoved) {
    const auto is_match = [](const Part& part) { return part.matches; };
    parts.erase(std::remove_if(parts.begin(), parts.end(), is_match), parts.end());
  }
  // Of several matches in a row only the one beside other text is joined with it.
  const auto alone = [](bool matches, bool before) { return matches && !before; };
  const auto alike = [](bool matches, bool before) { return matches == before; };
  const auto never = [](bool, bool) { return false; };
  std::vector<TextPiece> found;
  if (step.number == kWithPrevious) {
    found = joined(parts.begin(), parts.end(), alone);
  } else if (step.number == kWithNext) {
    found = joined(parts.rbegin(), parts.rend(), alone);
    std::reverse(found.begin(), found.end());
  } else if (step.number == kContiguous) {
    found = joined(parts.begin(), parts.end(), alike);
  } else {
    found = joined(parts.begin(), parts.end(), never);
  }
  pieces->insert(pieces->end(), found.begin(), found.end());
}

}  // namespace lamella
