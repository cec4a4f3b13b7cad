#include "engine/tokenizer/compose.h"

#include <algorithm>

#include "engine/tokenizer/utf8.h"

namespace lamella {
namespace {

// The syllables of Hangul are composed by arithmetic.
constexpr std::uint32_t kSyllable = 0xAC00, kLead = 0x1100, kVowel = 0x1161, kTail = 0x11A7;
constexpr std::uint32_t kLeads = 19, kVowels = 21, kTails = 28;
constexpr std::uint32_t kSyllables = kLeads * kVowels * kTails;
constexpr std::uint32_t kFirstComposed = 0xC0;

bool is_character(std::uint32_t code) {
  return code < 0x110000 && (code < 0xD800 || code > 0xDFFF);
}

bool is_plain(std::string_view text) {
  // Below U+0300, whose first byte this is, no text is changed.
  return std::all_of(text.begin(), text.end(),
                     [](char byte) { return static_cast<unsigned char>(byte) < 0xCC; });
}

}  // namespace

Status Composer::open(const TokenizerSections& sections) {
  Status status = sections.words(TokenizerSection::kDecompositions, 1, &decompositions_);
  if (status.ok()) status = combining_.open(sections, TokenizerSection::kCombining, 256);
  if (status.ok()) status = sections.words(TokenizerSection::kCompositions, 3, &compositions_);
  if (!status.ok() || decompositions_.size() == 0) return status;
  decomposed_ = decompositions_[0];
  const std::size_t size = decompositions_.size();
  if (decomposed_ > (size - 1) / 3) return bad_tokenizer("the count of decompositions");
  const std::size_t pool = 1 + 3 * decomposed_;
  for (std::size_t i = 1; i < pool; i += 3) {
    const std::size_t offset = decompositions_[i + 1], count = decompositions_[i + 2];
    if (offset > size - pool || count > size - pool - offset) {
      return bad_tokenizer("a decomposition outside of its section");
    }
  }
  for (std::size_t i = pool; i < size; ++i) {
    if (!is_character(decompositions_[i])) return bad_tokenizer("a decomposition");
  }
  for (std::size_t i = 2; i < compositions_.size(); i += 3) {
    if (!is_character(compositions_[i])) return bad_tokenizer("a composition");
  }
  return status;
}

std::string Composer::composed(std::string_view text) const {
  if (is_plain(text)) return std::string(text);
  std::vector<Mark> marks;
  for (std::size_t at = 0; at < text.size();) {
    const Character next = character_at(text, at);
    decompose(next.code, &marks);
    at += next.bytes;
  }
  const auto starts = [](const Mark& mark) { return mark.combining == 0; };
  for (auto first = marks.begin(); first != marks.end();) {
    first = std::find_if_not(first, marks.end(), starts);
    const auto last = std::find_if(first, marks.end(), starts);
    std::stable_sort(first, last, [](const Mark& left, const Mark& right) {
      return left.combining < right.combining;
    });
    first = last;
  }
  // The last starter that was kept, and whether and which marks stand after it.
  std::vector<Mark> kept;
  std::size_t starter = marks.size();
  for (const Mark& mark : marks) {
    const bool seen = starter < kept.size();
    const bool adjacent = seen && starter + 1 == kept.size();
    if (seen && (adjacent || kept.back().combining < mark.combining)) {
      const std::uint32_t both = composite(kept[starter].code, mark.code);
      if (both != kNoToken) {
        kept[starter].code = both;
        continue;
      }
    }
    if (mark.combining == 0) starter = kept.size();
    kept.push_back(mark);
  }
  std::string result;
  for (const Mark& mark : kept) append_character(mark.code, &result);
  return result;
}

void Composer::decompose(std::uint32_t code, std::vector<Mark>* marks) const {
  const auto add = [this, marks](std::uint32_t part) {
    marks->push_back({part, combining_[part]});
  };
  if (code < kFirstComposed) return add(code);
  const std::uint32_t syllable = code - kSyllable;
  if (syllable < kSyllables) {
    add(kLead + syllable / (kVowels * kTails));
    add(kVowel + syllable / kTails % kVowels);
    if (syllable % kTails != 0) add(kTail + syllable % kTails);
    return;
  }
  std::size_t low = 0, high = decomposed_;
  while (low < high) {
    const std::size_t middle = (low + high) / 2;
    const bool before = decompositions_[1 + 3 * middle] < code;
    low = before ? middle + 1 : low;
    high = before ? high : middle;
  }
  if (low == decomposed_ || decompositions_[1 + 3 * low] != code) return add(code);
  const std::size_t first = 1 + 3 * decomposed_ + decompositions_[2 + 3 * low];
  for (std::size_t i = 0; i < decompositions_[3 + 3 * low]; ++i) add(decompositions_[first + i]);
}

std::uint32_t Composer::composite(std::uint32_t first, std::uint32_t second) const {
  const std::uint32_t lead = first - kLead, vowel = second - kVowel;
  if (lead < kLeads && vowel < kVowels) return kSyllable + (lead * kVowels + vowel) * kTails;
  const std::uint32_t syllable = first - kSyllable, tail = second - kTail;
  if (syllable < kSyllables && syllable % kTails == 0 && tail > 0 && tail < kTails) {
    return first + tail;
  }
  return stored_composite(first, second);
}

std::uint32_t Composer::stored_composite(std::uint32_t first, std::uint32_t second) const {
  std::size_t low = 0, high = compositions_.size() / 3;
  while (low < high) {
    const std::size_t middle = (low + high) / 2;
    const std::uint32_t left = compositions_[3 * middle], right = compositions_[3 * middle + 1];
    if (left == first && right == second) return compositions_[3 * middle + 2];
    const bool before = left < first || (left == first && right < second);
    low = before ? middle + 1 : low;
    high = before ? high : middle;
  }
  return kNoToken;
}

}  // namespace lamella
