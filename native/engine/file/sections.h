// The skeleton of a .lamella file: header, section table, and where sections lie.
//
// Mirrors FORMAT.md, sections 2 to 4 and 7.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/span.h"
#include "base/status.h"
#include "engine/file/sha256.h"

namespace lamella::file {

enum class SectionKind : std::uint32_t {
  kManifest = 1,
  kProgram = 2,
  kAttachment = 3,
  kCanary = 4,
  kSignature = 5,
};

inline constexpr std::string_view kManifestName = "manifest.json";
inline constexpr std::string_view kCanaryIndexName = "index.json";
inline constexpr std::string_view kCanaryTensorsName = "tensors.bin";
inline constexpr std::string_view kSignatureName = "ed25519";
inline constexpr std::size_t kSignatureBytes = 96;  // public key and signature

// A view of the file, like all that follows.
struct Section {
  SectionKind kind;
  std::string_view name;
  Span<std::uint8_t> bytes;
  const std::uint8_t* digest;
};

// How a sentence calls a section, for example "program/model.onnx".
std::string label(const Section& section);

struct Skeleton {
  const std::uint8_t* root = nullptr;  // SHA-256 of header and table
  std::vector<Section> sections;       // in the order of the file, by kind and name

  // Null where there is no such section.
  const Section* find(SectionKind kind, std::string_view name) const;
};

// Checks header, table, padding, and which sections there are. Of their content it reads nothing.
Status read_skeleton(Span<std::uint8_t> file, Skeleton* skeleton);

// Whether the content of a section has its digest.
Status check_digest(const Section& section);

// The root that a signed file, which read_skeleton() took, has without its signature.
Digest unsigned_root(Span<std::uint8_t> file);

// The least multiple of 64 that is not below `size`, which is at most the size of a file.
constexpr std::size_t aligned(std::size_t size) { return (size + 63) / 64 * 64; }

// Whether all of [begin, end) is zero.
bool all_zero(const std::uint8_t* begin, const std::uint8_t* end);

}  // namespace lamella::file
