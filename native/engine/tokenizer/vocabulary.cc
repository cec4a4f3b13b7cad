#include "engine/tokenizer/vocabulary.h"

#include <string>

namespace lamella {
namespace {

constexpr std::size_t kMostTokens = 1 << 24;

std::uint32_t hash_pair(std::uint32_t left, std::uint32_t right) {
  std::uint32_t mixed = left * 0x9E3779B1u + right;
  mixed = (mixed ^ mixed >> 16) * 0x7FEB352Du;
  mixed = (mixed ^ mixed >> 15) * 0x846CA68Bu;
  return mixed ^ mixed >> 16;
}

// FNV-1a.
std::uint32_t hash_text(std::string_view text) {
  std::uint32_t mixed = 0x811C9DC5u;
  for (const char byte : text) mixed = (mixed ^ static_cast<unsigned char>(byte)) * 0x01000193u;
  return mixed;
}

// A search ends at an empty slot, so there must be one.
Status check_slots(const Words& slots, std::size_t limit, const char* name) {
  const std::size_t size = slots.size();
  bool has_empty = false;
  for (std::size_t i = 0; i < size; ++i) {
    const std::uint32_t value = slots[i];
    if (value == kNoToken) {
      has_empty = true;
    } else if (value >= limit) {
      return bad_tokenizer("slot " + std::to_string(i) + " of the table of " + name + " holds " +
                           std::to_string(value) + ", of " + std::to_string(limit));
    }
  }
  if (has_empty && (size & (size - 1)) == 0) return Status::success();
  return bad_tokenizer("the table of " + std::string(name) + " has " + std::to_string(size) +
                       " slots, not a power of two with one empty");
}

bool is_byte_name(std::string_view text) {
  const auto is_digit = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
  };
  return text.size() == 6 && text.substr(0, 3) == "<0x" && text[5] == '>' &&
         (is_digit(text[3]) || text[3] == '+') && is_digit(text[4]);
}

}  // namespace

Status Vocabulary::open(const TokenizerSections& sections) {
  Words settings;
  Status status = sections.words(TokenizerSection::kSettings, 4, &settings);
  if (!status.ok()) return status;
  if (settings.size() != 4 || settings[0] > 7 || settings[2] != 0 || settings[3] != 0) {
    return bad_tokenizer("settings that are unknown");
  }
  settings_ = settings[0];
  unknown_ = settings[1];
  status = open_tokens(sections);
  if (status.ok()) status = open_merges(sections);
  if (!status.ok()) return status;
  status = sections.words(TokenizerSection::kBytes, 256, &symbols_);
  if (status.ok() && symbols_.size() != 256) status = bad_tokenizer("no ids of the 256 bytes");
  if (status.ok()) status = check_ids(symbols_, true, "the bytes");
  if (status.ok() && unknown_ != kNoToken && !is_token(unknown_)) {
    status = bad_tokenizer("the id " + std::to_string(unknown_) + " of unknown text is no token");
  }
  return status;
}

Status Vocabulary::open_tokens(const TokenizerSections& sections) {
  bytes_ = sections.bytes(TokenizerSection::kTokenBytes);
  flags_ = sections.bytes(TokenizerSection::kTokenFlags);
  const Status status = sections.words(TokenizerSection::kTokenOffsets, 1, &offsets_);
  if (!status.ok()) return status;
  const std::size_t count = flags_.size();
  if (count == 0 || count > kMostTokens || offsets_.size() != count + 1 || offsets_[0] != 0 ||
      offsets_[count] != bytes_.size()) {
    return bad_tokenizer(std::to_string(count) + " tokens with " + std::to_string(offsets_.size()) +
                         " offsets");
  }
  for (std::size_t id = 0; id < count; ++id) {
    if (offsets_[id] > offsets_[id + 1] || offsets_[id + 1] > bytes_.size()) {
      return bad_tokenizer("the text of token " + std::to_string(id) + " lies outside");
    }
    const auto flags = static_cast<unsigned char>(flags_[id]);
    const auto token = static_cast<std::uint32_t>(id);
    if (flags > 7 || (flags & 1) == 0 ? flags != 0 || !text(token).empty()
                                      : is_byte(token) && !is_byte_name(text(token))) {
      return bad_tokenizer("token " + std::to_string(id) + " has flags that it cannot have");
    }
  }
  return Status::success();
}

Status Vocabulary::open_merges(const TokenizerSections& sections) {
  Status status = sections.words(TokenizerSection::kMerges, 3, &merges_);
  if (status.ok()) status = check_ids(merges_, false, "the merges");
  if (status.ok()) status = sections.words(TokenizerSection::kMergeSlots, 1, &merge_slots_);
  if (status.ok()) status = check_slots(merge_slots_, merges_.size() / 3, "merges");
  if (status.ok()) status = sections.words(TokenizerSection::kLookupSlots, 1, &lookup_slots_);
  if (status.ok()) status = check_slots(lookup_slots_, size(), "texts");
  return status;
}

Status Vocabulary::check_ids(const Words& ids, bool may_lack, const char* where) const {
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (is_token(ids[i]) || (may_lack && ids[i] == kNoToken)) continue;
    return bad_tokenizer("the id " + std::to_string(ids[i]) + " in " + where + " is no token");
  }
  return Status::success();
}

std::uint32_t Vocabulary::find(std::string_view text) const {
  const std::size_t mask = lookup_slots_.size() - 1;
  std::size_t at = hash_text(text) & mask;
  while (true) {
    const std::uint32_t id = lookup_slots_[at];
    if (id == kNoToken || this->text(id) == text) return id;
    at = (at + 1) & mask;
  }
}

bool Vocabulary::find_merge(std::uint32_t left, std::uint32_t right, Merge* merge) const {
  const std::size_t mask = merge_slots_.size() - 1;
  std::size_t at = hash_pair(left, right) & mask;
  while (true) {
    const std::uint32_t rank = merge_slots_[at];
    if (rank == kNoToken) return false;
    const std::size_t row = 3 * std::size_t{rank};
    if (merges_[row] == left && merges_[row + 1] == right) {
      *merge = {rank, merges_[row + 2]};
      return true;
    }
    at = (at + 1) & mask;
  }
}

}  // namespace lamella
