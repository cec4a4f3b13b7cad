#include "engine/file/sections.h"

#include <algorithm>
#include <cstring>

#include "engine/file/little_endian.h"
#include "engine/file/sentence.h"

namespace lamella::file {
namespace {

constexpr std::uint8_t kMagic[8] = {0x89, 'L', 'A', 'M', '\r', '\n', 0x1a, '\n'};
constexpr std::uint32_t kVersion = 1;
constexpr std::uint32_t kMostSections = 1024;
constexpr std::uint32_t kMostName = 72;

// Where the fields of the header and of a row of the table stand.
constexpr std::size_t kVersionAt = 8, kCountAt = 12, kSizeAt = 16, kReservedAt = 24, kRootAt = 32;
constexpr std::size_t kHeaderBytes = 64, kRowBytes = 128;
constexpr std::size_t kLengthAt = 4, kOffsetAt = 8, kBytesAt = 16, kDigestAt = 24, kNameAt = 56;

std::size_t head_bytes(std::size_t count) { return kHeaderBytes + count * kRowBytes; }

Status check_start(Span<std::uint8_t> file) {
  if (file.size() == 0) return Status::failure("the file is empty");
  const std::size_t known = std::min(file.size(), sizeof kMagic);
  if (!std::equal(kMagic, kMagic + known, file.begin())) {
    return Status::failure("not a .lamella file: it starts with " +
                           quoted(as_text({file.begin(), known})));
  }
  if (file.size() >= kHeaderBytes) return Status::success();
  return Status::failure("truncated: " + std::to_string(file.size()) +
                         " bytes, the header alone has " + std::to_string(kHeaderBytes));
}

Status check_header(Span<std::uint8_t> file, std::size_t* count) {
  const std::uint8_t* head = file.begin();
  const auto version = little_endian<std::uint32_t>(head + kVersionAt);
  const auto sections = little_endian<std::uint32_t>(head + kCountAt);
  const auto size = little_endian<std::uint64_t>(head + kSizeAt);
  const auto reserved = little_endian<std::uint64_t>(head + kReservedAt);
  if (version != kVersion) {
    return Status::failure("format version " + std::to_string(version) +
                           "; this lamella reads version " + std::to_string(kVersion));
  }
  if (size != file.size()) {
    return Status::failure((size > file.size() ? "truncated" : "bytes were added") +
                           std::string(": the header promises ") + std::to_string(size) +
                           " bytes, the file has " + std::to_string(file.size()));
  }
  if (reserved != 0) {
    return Status::failure("the reserved field of the header is " + std::to_string(reserved) +
                           ", not 0");
  }
  if (sections < 1 || sections > kMostSections) {
    return Status::failure(std::to_string(sections) + " sections; a file has 1 to " +
                           std::to_string(kMostSections));
  }
  *count = sections;
  if (head_bytes(sections) <= size) return Status::success();
  return Status::failure("the table of " + std::to_string(sections) + " sections does not fit " +
                         std::to_string(size) + " bytes");
}

Digest root_digest(const std::uint8_t* head, Span<std::uint8_t> table) {
  Sha256 hash;
  hash.add({head, kRootAt});
  hash.add(table);
  return hash.digest();
}

bool plain_name(std::string_view name) {
  const auto plain = [](char c) {
    return ('0' <= c && c <= '9') || ('a' <= c && c <= 'z') || ('A' <= c && c <= 'Z') || c == '_' ||
           c == '-' || c == '.';
  };
  return name[0] != '-' && name[0] != '.' && std::all_of(name.begin(), name.end(), plain);
}

// Reads the kind and name of a row; the bytes come later.
Status read_row(const std::uint8_t* row, Section* section) {
  const auto kind = little_endian<std::uint32_t>(row);
  const auto length = little_endian<std::uint32_t>(row + kLengthAt);
  if (kind < static_cast<std::uint32_t>(SectionKind::kManifest) ||
      kind > static_cast<std::uint32_t>(SectionKind::kSignature)) {
    return Status::failure("a section of unknown kind " + std::to_string(kind));
  }
  if (length < 1 || length > kMostName) {
    return Status::failure("a section name of " + std::to_string(length) + " bytes; use 1 to " +
                           std::to_string(kMostName));
  }
  section->kind = static_cast<SectionKind>(kind);
  section->name = as_text({row + kNameAt, length});
  section->digest = row + kDigestAt;
  if (!all_zero(row + kNameAt + length, row + kRowBytes)) {
    return Status::failure("bytes after the section name " + quoted(section->name) +
                           " are not zero");
  }
  if (plain_name(section->name)) return Status::success();
  return Status::failure("the section name " + quoted(section->name) +
                         " is not a plain file name; use letters, digits, '.', '_' and '-', and "
                         "no '.' or '-' in front");
}

// Places a section whose row says where it lies: at `*end`, which then is the end of its padding.
Status place(Span<std::uint8_t> file, const std::uint8_t* row, std::size_t* end, Section* section) {
  const auto offset = little_endian<std::uint64_t>(row + kOffsetAt);
  const auto size = little_endian<std::uint64_t>(row + kBytesAt);
  if (offset != *end) {
    return Status::failure("section " + label(*section) + " starts at byte " +
                           std::to_string(offset) + ", not at " + std::to_string(*end));
  }
  // The padding of the section before may already end behind the file.
  const std::size_t left = file.size() - std::min(file.size(), *end);
  if (*end > file.size() || size > left) {
    return Status::failure("section " + label(*section) + " has " + std::to_string(size) +
                           " bytes, of which only " + std::to_string(left) + " fit the file");
  }
  section->bytes = {file.begin() + *end, static_cast<std::size_t>(size)};
  *end += aligned(section->bytes.size());
  return Status::success();
}

Status read_table(Span<std::uint8_t> file, std::size_t count, std::vector<Section>* sections) {
  std::size_t end = head_bytes(count);
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint8_t* row = file.begin() + head_bytes(i);
    Section section = {SectionKind::kManifest, {}, {nullptr, 0}, nullptr};
    Status status = read_row(row, &section);
    if (status.ok() && !sections->empty()) {
      const Section& before = sections->back();
      if (section.kind < before.kind ||
          (section.kind == before.kind && section.name <= before.name)) {
        status = Status::failure("section " + label(section) +
                                 " comes twice or out of order (by kind and name)");
      }
    }
    if (status.ok()) status = place(file, row, &end, &section);
    if (!status.ok()) return status;
    sections->push_back(section);
  }
  if (end == file.size()) return Status::success();
  return Status::failure("the sections end at byte " + std::to_string(end) + ", the file at " +
                         std::to_string(file.size()));
}

Status check_padding(Span<std::uint8_t> file, const std::vector<Section>& sections) {
  for (const Section& section : sections) {
    const auto end = static_cast<std::size_t>(section.bytes.end() - file.begin());
    if (!all_zero(section.bytes.end(), file.begin() + aligned(end))) {
      return Status::failure("the padding behind section " + label(section) + " is not zero");
    }
  }
  return Status::success();
}

// Checks that the sections of a kind are those named, or where it is optional, none.
Status check_fixed(const Skeleton& skeleton, SectionKind kind,
                   const std::vector<std::string_view>& names, const char* rule) {
  std::string found;
  std::size_t known = 0, all = 0;
  for (const Section& section : skeleton.sections) {
    if (section.kind != kind) continue;
    ++all;
    known += static_cast<std::size_t>(std::count(names.begin(), names.end(), section.name));
    found += (found.empty() ? "" : ", ") + std::string(section.name);
  }
  const bool none = all == 0 && kind == SectionKind::kSignature;
  if (none || (known == names.size() && all == known)) return Status::success();
  return Status::failure(std::string(rule) + ", not " + (found.empty() ? "missing" : found));
}

Status check_kinds(const Skeleton& skeleton) {
  Status status = check_fixed(skeleton, SectionKind::kManifest, {kManifestName},
                              "the manifest sections must be manifest.json");
  if (status.ok()) {
    status = check_fixed(skeleton, SectionKind::kCanary, {kCanaryIndexName, kCanaryTensorsName},
                         "the canary sections must be index.json, tensors.bin");
  }
  if (status.ok()) {
    status = check_fixed(skeleton, SectionKind::kSignature, {kSignatureName},
                         "the signature sections must be ed25519");
  }
  if (!status.ok()) return status;
  const Section* signature = skeleton.find(SectionKind::kSignature, kSignatureName);
  if (signature != nullptr && signature->bytes.size() != kSignatureBytes) {
    return Status::failure("section " + label(*signature) + " has " +
                           std::to_string(signature->bytes.size()) + " bytes, not " +
                           std::to_string(kSignatureBytes));
  }
  const auto is_program = [](const Section& row) { return row.kind == SectionKind::kProgram; };
  if (std::any_of(skeleton.sections.begin(), skeleton.sections.end(), is_program)) {
    return Status::success();
  }
  return Status::failure("there is no program section");
}

}  // namespace

bool all_zero(const std::uint8_t* begin, const std::uint8_t* end) {
  return std::all_of(begin, end, [](std::uint8_t byte) { return byte == 0; });
}

std::string label(const Section& section) {
  constexpr const char* kNames[] = {"manifest", "program", "attachment", "canary", "signature"};
  return kNames[static_cast<std::size_t>(section.kind) - 1] + ("/" + std::string(section.name));
}

const Section* Skeleton::find(SectionKind kind, std::string_view name) const {
  for (const Section& section : sections) {
    if (section.kind == kind && section.name == name) return &section;
  }
  return nullptr;
}

Status read_skeleton(Span<std::uint8_t> file, Skeleton* skeleton) {
  std::size_t count = 0;
  Status status = check_start(file);
  if (status.ok()) status = check_header(file, &count);
  if (!status.ok()) return status;
  const Span<std::uint8_t> table(file.begin() + kHeaderBytes, count * kRowBytes);
  skeleton->root = file.begin() + kRootAt;
  const Digest root = root_digest(file.begin(), table);
  if (!std::equal(root.begin(), root.end(), skeleton->root)) {
    return Status::failure(
        "the checksum of the header and the section table does not match; the file is damaged, "
        "copy or build it again");
  }
  skeleton->sections.clear();
  status = read_table(file, count, &skeleton->sections);
  if (status.ok()) status = check_padding(file, skeleton->sections);
  if (status.ok()) status = check_kinds(*skeleton);
  return status;
}

Status check_digest(const Section& section) {
  const Digest digest = sha256(section.bytes);
  if (std::equal(digest.begin(), digest.end(), section.digest)) return Status::success();
  return Status::failure("the checksum of section " + label(section) +
                         " does not match; the file is damaged, copy or build it again");
}

Digest unsigned_root(Span<std::uint8_t> file) {
  std::uint8_t head[kRootAt];
  std::copy_n(file.begin(), kRootAt, head);
  const std::size_t count = little_endian<std::uint32_t>(head + kCountAt) - 1;
  const std::size_t gone = kRowBytes + aligned(kSignatureBytes);
  put_little_endian(static_cast<std::uint32_t>(count), head + kCountAt);
  put_little_endian(little_endian<std::uint64_t>(head + kSizeAt) - gone, head + kSizeAt);
  const std::uint8_t* first = file.begin() + kHeaderBytes;
  std::vector<std::uint8_t> table(first, first + count * kRowBytes);
  for (std::size_t i = 0; i < count; ++i) {
    std::uint8_t* offset = table.data() + i * kRowBytes + kOffsetAt;
    put_little_endian(little_endian<std::uint64_t>(offset) - kRowBytes, offset);
  }
  return root_digest(head, {table.data(), table.size()});
}

}  // namespace lamella::file
