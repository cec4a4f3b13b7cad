// Parts of the sentences that say what is wrong with a file.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/span.h"

namespace lamella::file {

// A text of the file, at most so many bytes of it, without letters that could control a terminal.
std::string printable(std::string_view text, std::size_t most);

// The same in quotes, cut after 80 bytes.
std::string quoted(std::string_view text);

// Where the first byte stands that is not UTF-8 (RFC 3629), or the size.
std::size_t utf8_end(std::string_view text);

// The number of code points of valid UTF-8.
std::size_t letters(std::string_view text);

inline std::string_view as_text(Span<std::uint8_t> bytes) {
  return {reinterpret_cast<const char*>(bytes.begin()), bytes.size()};
}

}  // namespace lamella::file
