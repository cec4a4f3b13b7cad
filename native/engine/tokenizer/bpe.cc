#include "engine/tokenizer/bpe.h"

#include <algorithm>
#include <functional>

#include "engine/tokenizer/utf8.h"

namespace lamella {

void Bpe::encode(std::string_view piece, std::vector<std::int32_t>* ids) {
  if (vocabulary_.whole_pieces()) {
    const std::uint32_t whole = vocabulary_.find(piece);
    if (whole != kNoToken) {
      ids->push_back(static_cast<std::int32_t>(whole));
      return;
    }
  }
  symbols_.clear();
  if (vocabulary_.byte_level()) {
    split_bytes(piece);
  } else {
    split_characters(piece);
  }
  flush_unknown();
  if (symbols_.empty()) return;
  symbols_.back().next = kNoToken;
  join_all();
  for (const Symbol& symbol : symbols_) {
    if (symbol.alive) ids->push_back(static_cast<std::int32_t>(symbol.id));
  }
}

void Bpe::split_bytes(std::string_view piece) {
  for (const char byte : piece) {
    const std::uint32_t id = vocabulary_.byte(static_cast<unsigned char>(byte));
    if (id == kNoToken) {
      add_unknown();
      continue;
    }
    flush_unknown();
    add(id);
  }
}

void Bpe::split_characters(std::string_view piece) {
  for (std::size_t at = 0; at < piece.size();) {
    const std::string_view character = piece.substr(at, character_at(piece, at).bytes);
    at += character.size();
    const std::uint32_t id = vocabulary_.find(character);
    if (id != kNoToken) {
      flush_unknown();
      add(id);
    } else if (!add_byte_tokens(character)) {
      add_unknown();
    }
  }
}

bool Bpe::add_byte_tokens(std::string_view character) {
  for (const char byte : character) {
    if (vocabulary_.byte(static_cast<unsigned char>(byte)) == kNoToken) return false;
  }
  // An unknown character that waits comes after these, as in the library.
  for (const char byte : character) add(vocabulary_.byte(static_cast<unsigned char>(byte)));
  return true;
}

void Bpe::add(std::uint32_t id) {
  const auto at = static_cast<std::uint32_t>(symbols_.size());
  symbols_.push_back({id, at == 0 ? kNoToken : at - 1, at + 1, true});
}

void Bpe::add_unknown() {
  if (vocabulary_.unknown() == kNoToken) return;
  if (unknown_waits_ && !vocabulary_.fuses_unknown()) add(vocabulary_.unknown());
  unknown_waits_ = true;
}

void Bpe::flush_unknown() {
  if (unknown_waits_) add(vocabulary_.unknown());
  unknown_waits_ = false;
}

void Bpe::join_all() {
  pairs_.clear();
  for (std::uint32_t right = 1; right < symbols_.size(); ++right) queue(right - 1, right);
  while (!pairs_.empty()) {
    const std::uint64_t first = pairs_.front();
    std::pop_heap(pairs_.begin(), pairs_.end(), std::greater<>());
    pairs_.pop_back();
    const auto at = static_cast<std::uint32_t>(first);
    const std::uint32_t merged = vocabulary_.merged(static_cast<std::uint32_t>(first >> 32));
    const Symbol& left = symbols_[at];
    if (!left.alive || left.next == kNoToken) continue;
    // The neighbours may have changed since the pair was queued.
    Merge merge;
    if (!vocabulary_.find_merge(left.id, symbols_[left.next].id, &merge)) continue;
    if (merge.merged == merged) join(at, merged);
  }
}

void Bpe::join(std::uint32_t at, std::uint32_t merged) {
  Symbol& left = symbols_[at];
  Symbol& right = symbols_[left.next];
  left.id = merged;
  left.next = right.next;
  right.alive = false;
  if (left.next != kNoToken) symbols_[left.next].previous = at;
  if (left.previous != kNoToken) queue(left.previous, at);
  if (left.next != kNoToken) queue(at, left.next);
}

void Bpe::queue(std::uint32_t left, std::uint32_t right) {
  Merge merge;
  if (!vocabulary_.find_merge(symbols_[left].id, symbols_[right].id, &merge)) return;
  pairs_.push_back(std::uint64_t{merge.rank} << 32 | left);
  std::push_heap(pairs_.begin(), pairs_.end(), std::greater<>());
}

}  // namespace lamella
