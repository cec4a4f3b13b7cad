#include "engine/tokenizer/added_tokens.h"

#include <algorithm>
#include <string>

#include "engine/tokenizer/utf8.h"

namespace lamella {
namespace {

constexpr std::uint32_t kTakesBefore = 1;
constexpr std::uint32_t kTakesAfter = 2;

}  // namespace

Status AddedTokens::open(const TokenizerSections& sections, TokenizerSection section,
                         const Vocabulary& vocabulary) {
  bytes_ = sections.bytes(section);
  rows_ = Words(bytes_);
  if (bytes_.empty()) return Status::success();
  const std::size_t count = rows_.size() == 0 ? 0 : rows_[0];
  if (count == 0 || count > (rows_.size() - 1) / 4) return bad_tokenizer("no added tokens");
  for (std::size_t row = 0; row < count; ++row) {
    const std::size_t offset = column(row, 0), size = column(row, 1);
    const bool inside = offset <= bytes_.size() && size <= bytes_.size() - offset;
    std::string unused;
    if (!inside || size == 0 || !vocabulary.is_token(column(row, 2)) || column(row, 3) > 3 ||
        (row > 0 && content(row - 1) >= content(row)) || !repair_utf8(content(row), &unused)) {
      return bad_tokenizer("added token " + std::to_string(row));
    }
    begins_[static_cast<unsigned char>(content(row)[0])] = true;
  }
  count_ = count;
  return Status::success();
}

std::vector<TextSegment> AddedTokens::find(std::string_view text) const {
  std::vector<TextSegment> segments;
  std::size_t done = 0;
  for (std::size_t at = 0; at < text.size();) {
    const bool may_begin = begins_[static_cast<unsigned char>(text[at])];
    const std::size_t row = may_begin ? longest(text.substr(at)) : count_;
    if (row == count_) {
      ++at;
      continue;
    }
    std::size_t begin = at;
    std::size_t end = at += content(row).size();
    // What the token before has taken stays with it, and the search goes on inside the spaces.
    if ((column(row, 3) & kTakesBefore) != 0) {
      begin = std::max(begin - trailing(text.substr(0, begin), is_space), done);
    }
    if ((column(row, 3) & kTakesAfter) != 0) end += leading(text.substr(end), is_space);
    if (done < begin) segments.push_back({done, begin, kNoToken});
    segments.push_back({begin, end, column(row, 2)});
    done = end;
  }
  if (done < text.size()) segments.push_back({done, text.size(), kNoToken});
  return segments;
}

std::string_view AddedTokens::content(std::size_t row) const {
  return bytes_.substr(column(row, 0), column(row, 1));
}

std::size_t AddedTokens::longest(std::string_view text) const {
  std::size_t low = 0, high = count_, best = count_;
  for (std::size_t depth = 0; depth < text.size() && low < high; ++depth) {
    // The rows that go on like the text: sorted, they stand together.
    const auto byte = static_cast<unsigned char>(text[depth]);
    const auto first_not_below = [&](std::size_t from, int limit) {
      std::size_t to = high;
      while (from < to) {
        const std::size_t middle = (from + to) / 2;
        const std::string_view row = content(middle);
        const int value = depth < row.size() ? static_cast<unsigned char>(row[depth]) : -1;
        (value < limit ? from : to) = value < limit ? middle + 1 : middle;
      }
      return from;
    };
    const std::size_t first = first_not_below(low, byte);
    high = first_not_below(first, byte + 1);
    low = first;
    if (low < high && content(low).size() == depth + 1) best = low;
  }
  return best;
}

}  // namespace lamella
