// tokenizer.bin as a table of sections; engine/TOKENIZER.md is the specification.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "base/span.h"
#include "base/status.h"

namespace lamella {

// Where the blob says that there is no id.
constexpr std::uint32_t kNoToken = 0xFFFFFFFF;

enum class TokenizerSection : std::uint32_t {
  kSettings = 1,
  kTokenOffsets,
  kTokenBytes,
  kTokenFlags,
  kMerges,
  kMergeSlots,
  kLookupSlots,
  kBytes,
  kAdded,
  kAddedNormalized,
  kNormalizer,
  kPreTokenizer,
  kDecoder,
  kTemplate,
  kClasses,
  kDecompositions,
  kCombining,
  kCompositions,
  kChat,
};
constexpr std::size_t kSectionKinds = 20;  // the kinds count from 1

// Little-endian 32-bit numbers at any address.
class Words {
 public:
  Words() = default;
  // Bytes after the last whole number are left out.
  explicit Words(std::string_view bytes) : first_(bytes.data()), size_(bytes.size() / 4) {}

  std::size_t size() const { return size_; }

  std::uint32_t operator[](std::size_t i) const {
    std::uint32_t word;
    std::memcpy(&word, first_ + 4 * i, 4);
    return word;
  }

 private:
  const char* first_ = nullptr;
  std::size_t size_ = 0;
};

// The status of a blob that breaks the specification.
Status bad_tokenizer(const std::string& what);

class TokenizerSections {
 public:
  // Checks the header and the table. The bytes must outlive what is read from them.
  Status open(Span<std::uint8_t> blob);

  // Empty where the blob has no such section.
  std::string_view bytes(TokenizerSection kind) const {
    return sections_[static_cast<std::size_t>(kind)];
  }

  // Fails where the bytes are not rows of `columns` numbers.
  Status words(TokenizerSection kind, std::size_t columns, Words* words) const;

 private:
  Status add(std::string_view blob, std::string_view row, std::size_t* end);

  std::string_view sections_[kSectionKinds];
};

}  // namespace lamella
