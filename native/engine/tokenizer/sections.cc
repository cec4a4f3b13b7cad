#include "engine/tokenizer/sections.h"

namespace lamella {
namespace {

constexpr std::string_view kMagic("\x89LTK\r\n\x1a\n", 8);
constexpr std::size_t kHeader = 32;
constexpr std::size_t kRow = 16;
constexpr std::size_t kMostBytes = 0x7FFFFFFF;

std::size_t aligned(std::size_t at) { return (at + 15) / 16 * 16; }

bool all_zero(std::string_view bytes) {
  return bytes.find_first_not_of('\0') == std::string_view::npos;
}

}  // namespace

Status bad_tokenizer(const std::string& what) {
  return Status::failure("tokenizer.bin is damaged: " + what + "; compile the tokenizer again");
}

Status TokenizerSections::open(Span<std::uint8_t> blob) {
  const std::string_view all(reinterpret_cast<const char*>(blob.begin()), blob.size());
  if (all.size() < kHeader || all.substr(0, 8) != kMagic) {
    return bad_tokenizer("its " + std::to_string(all.size()) + " bytes do not begin with its name");
  }
  const Words head(all.substr(0, kHeader));
  if (head[2] != 1) {
    return Status::failure("tokenizer.bin has version " + std::to_string(head[2]) +
                           ", but this build reads version 1; update lamella");
  }
  const std::size_t count = head[3];
  if (all.size() > kMostBytes || head[4] != all.size() || head[5] != 0 ||
      !all_zero(all.substr(24, 8))) {
    return bad_tokenizer("it has " + std::to_string(all.size()) + " bytes, but says " +
                         std::to_string(head[4]));
  }
  if (count >= kSectionKinds || all.size() < kHeader + kRow * count) {
    return bad_tokenizer("a table of " + std::to_string(count) + " sections");
  }
  std::size_t end = kHeader + kRow * count;
  for (std::size_t i = 0; i < count; ++i) {
    const Status status = add(all, all.substr(kHeader + kRow * i, kRow), &end);
    if (!status.ok()) return status;
  }
  if (end != all.size()) return bad_tokenizer("bytes after the last section");
  return Status::success();
}

Status TokenizerSections::add(std::string_view blob, std::string_view row, std::size_t* end) {
  const Words entry(row);
  const std::size_t kind = entry[0], offset = entry[1], size = entry[2];
  if (kind == 0 || kind >= kSectionKinds || entry[3] != 0 || size == 0) {
    return bad_tokenizer("a section of kind " + std::to_string(kind) + " with " +
                         std::to_string(size) + " bytes");
  }
  for (std::size_t later = kind; later < kSectionKinds; ++later) {
    if (!sections_[later].empty()) return bad_tokenizer("sections out of order");
  }
  const std::size_t after = aligned(offset + size);
  if (offset != *end || after > blob.size() ||
      !all_zero(blob.substr(offset + size, after - offset - size))) {
    return bad_tokenizer("section " + std::to_string(kind) + " is not where it must be");
  }
  sections_[kind] = blob.substr(offset, size);
  *end = after;
  return Status::success();
}

Status TokenizerSections::words(TokenizerSection kind, std::size_t columns, Words* words) const {
  const std::string_view stored = bytes(kind);
  if (stored.size() % (4 * columns) != 0) {
    return bad_tokenizer("section " + std::to_string(static_cast<std::size_t>(kind)) + " has " +
                         std::to_string(stored.size()) + " bytes");
  }
  *words = Words(stored);
  return Status::success();
}

}  // namespace lamella
