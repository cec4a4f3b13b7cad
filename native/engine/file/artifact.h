// A .lamella file, open: its sections in place, what its manifest says, and its canary.
//
// Trusts nothing: FORMAT.md is checked rule by rule, and a bad file gives a sentence.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/span.h"
#include "base/status.h"
#include "engine/file/canary.h"
#include "engine/file/manifest.h"
#include "engine/file/sections.h"

namespace lamella::file {

// How much of a file is compared with its checksums while it is opened.
enum class Check {
  // Every byte. Reads the whole file once, at 1.1 to 1.8 GB/s with the SHA extensions of x86.
  kAll,
  // All but what programs and attachments hold: header, table, manifest, canary and signature are
  // checked in full, and every rule of FORMAT.md holds. Damage inside a program or an attachment
  // is left to verify(), which may come later or from another thread.
  kStructure,
};

// Ed25519 (RFC 8032) of the app: whether `signature` (64 bytes) is that of the key (32 bytes) for
// `size` bytes of message. lamella has none of its own.
struct Ed25519 {
  bool (*verify)(const std::uint8_t* public_key, const std::uint8_t* message, std::size_t size,
                 const std::uint8_t* signature, void* user_data);
  void* user_data;
};

class Artifact {
 public:
  // Opens the bytes of a file, which must start at a multiple of 64 and outlive the artifact: all
  // that follows views them. Nothing of `artifact` may be used where this fails.
  static Status open(Span<std::uint8_t> file, Check check, Artifact* artifact);

  // Compares with its checksum what Check::kStructure left.
  Status verify() const;

  // Whether the owner of a public key (32 bytes) signed the file. The signature covers every
  // checksum, and so every byte that open() or verify() has compared with one; after
  // Check::kStructure, call verify(), too.
  Status verify_signature(const std::uint8_t* public_key, const Ed25519& ed25519) const;

  // The public key (32 bytes) that the file says it was signed with, or null where it is unsigned.
  const std::uint8_t* signer() const;

  // In the order of the file: by kind, then by name.
  const std::vector<Section>& sections() const { return skeleton_.sections; }
  // Null where there is no such section.
  const Section* find(SectionKind kind, std::string_view name) const {
    return skeleton_.find(kind, name);
  }
  const Manifest& manifest() const { return manifest_; }
  const Canary& canary() const { return canary_; }
  // 32 bytes that identify the file.
  const std::uint8_t* root() const { return skeleton_.root; }
  Span<std::uint8_t> file() const { return file_; }

 private:
  Span<std::uint8_t> file_{nullptr, 0};
  Skeleton skeleton_;
  Manifest manifest_;
  Canary canary_;
};

}  // namespace lamella::file
