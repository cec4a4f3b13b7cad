// The tokens and merges of a tokenizer.bin, read in place.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/status.h"
#include "engine/tokenizer/sections.h"

namespace lamella {

// A pair that becomes one token; the lower the rank, the earlier.
struct Merge {
  std::uint32_t rank;
  std::uint32_t merged;
};

class Vocabulary {
 public:
  Status open(const TokenizerSections& sections);

  // Ids are below this; some may be no token.
  std::size_t size() const { return flags_.size(); }

  bool is_token(std::uint32_t id) const { return id < size() && (flags_[id] & 1) != 0; }
  bool is_special(std::uint32_t id) const { return (flags_[id] & 2) != 0; }
  // Whether the text of the token is a byte in hexadecimal, "<0xE2>".
  bool is_byte(std::uint32_t id) const { return (flags_[id] & 4) != 0; }

  // Valid for as long as the blob is.
  std::string_view text(std::uint32_t id) const {
    return bytes_.substr(offsets_[id], offsets_[id + 1] - offsets_[id]);
  }

  // Whether the model sees bytes instead of characters.
  bool byte_level() const { return (settings_ & 1) != 0; }
  bool fuses_unknown() const { return (settings_ & 2) != 0; }
  // Whether a piece that is a token is not cut further.
  bool whole_pieces() const { return (settings_ & 4) != 0; }
  // The id of what has none of its own, or kNoToken.
  std::uint32_t unknown() const { return unknown_; }

  // The id that a byte starts as (byte_level), or stands for a byte of an unknown character.
  std::uint32_t byte(unsigned char byte) const { return symbols_[byte]; }

  // The id of a text, or kNoToken.
  std::uint32_t find(std::string_view text) const;

  // Whether two neighbours become one; `merge` is set if they do.
  bool find_merge(std::uint32_t left, std::uint32_t right, Merge* merge) const;

  // The token that the merge of a rank gives.
  std::uint32_t merged(std::uint32_t rank) const { return merges_[3 * std::size_t{rank} + 2]; }

 private:
  Status open_tokens(const TokenizerSections& sections);
  Status open_merges(const TokenizerSections& sections);
  Status check_ids(const Words& ids, bool may_lack, const char* where) const;

  Words offsets_;
  std::string_view bytes_;
  std::string_view flags_;
  Words merges_;
  Words merge_slots_;
  Words lookup_slots_;
  Words symbols_;
  std::uint32_t settings_ = 0;
  std::uint32_t unknown_ = kNoToken;
};

}  // namespace lamella
