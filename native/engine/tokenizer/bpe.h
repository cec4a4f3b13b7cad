// Byte pair encoding of one piece of text.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "engine/tokenizer/vocabulary.h"

namespace lamella {

// Joins the symbols of a piece, the pair of lowest rank first and the leftmost of equals. Time is
// O(n log n) for a piece of n bytes. Keeps memory between pieces; one thread uses it at a time.
class Bpe {
 public:
  explicit Bpe(const Vocabulary& vocabulary) : vocabulary_(vocabulary) {}

  // Appends the ids of a piece of valid UTF-8 that is not empty.
  void encode(std::string_view piece, std::vector<std::int32_t>* ids);

 private:
  struct Symbol {
    std::uint32_t id;
    std::uint32_t previous;
    std::uint32_t next;
    bool alive;
  };

  void split_bytes(std::string_view piece);
  void split_characters(std::string_view piece);
  bool add_byte_tokens(std::string_view character);
  void add(std::uint32_t id);
  void add_unknown();
  void flush_unknown();
  void join_all();
  void join(std::uint32_t at, std::uint32_t merged);
  void queue(std::uint32_t left, std::uint32_t right);

  const Vocabulary& vocabulary_;
  std::vector<Symbol> symbols_;
  // A heap of rank << 32 | position of the left symbol.
  std::vector<std::uint64_t> pairs_;
  bool unknown_waits_ = false;
};

}  // namespace lamella
