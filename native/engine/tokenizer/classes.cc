#include "engine/tokenizer/classes.h"

#include <string>

namespace lamella {

Status CodePointTable::open(const TokenizerSections& sections, TokenizerSection section,
                            std::uint32_t limit) {
  const Status status = sections.words(section, 2, &rows_);
  if (!status.ok() || is_empty()) return status;
  for (std::size_t i = 0; i < rows_.size(); i += 2) {
    const bool follows = i == 0 ? rows_[0] == 0 : rows_[i] > rows_[i - 2];
    if (follows && rows_[i] < 0x110000 && rows_[i + 1] < limit) continue;
    return bad_tokenizer("row " + std::to_string(i / 2) + " of section " +
                         std::to_string(static_cast<std::size_t>(section)));
  }
  for (std::uint32_t code = 0; code < kDirect; ++code) {
    direct_[code] = static_cast<std::uint8_t>(find(code));
  }
  return status;
}

std::uint32_t CodePointTable::find(std::uint32_t code) const {
  if (is_empty()) return 0;
  std::size_t low = 0;
  std::size_t high = rows_.size() / 2;
  while (high - low > 1) {
    const std::size_t middle = (low + high) / 2;
    (rows_[2 * middle] <= code ? low : high) = middle;
  }
  return rows_[2 * low + 1];
}

}  // namespace lamella
