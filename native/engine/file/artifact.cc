#include "engine/file/artifact.h"

#include <algorithm>
#include <string>

namespace lamella::file {
namespace {

constexpr std::size_t kKeyBytes = 32;
// What is signed begins with these letters, so that no signature made for something else fits.
constexpr std::string_view kDomain = "lamella artifact signature 1\n";

// What Check::kStructure does not compare with its checksum.
bool is_left(const Section& section) {
  return section.kind == SectionKind::kProgram || section.kind == SectionKind::kAttachment;
}

Status check_digests(const std::vector<Section>& sections, bool left) {
  for (const Section& section : sections) {
    if (is_left(section) != left) continue;
    const Status status = check_digest(section);
    if (!status.ok()) return status;
  }
  return Status::success();
}

std::string hexadecimal(const std::uint8_t* key) {
  constexpr const char* kDigits = "0123456789abcdef";
  std::string text;
  for (std::size_t i = 0; i < kKeyBytes; ++i) {
    text += kDigits[key[i] >> 4];
    text += kDigits[key[i] & 15];
  }
  return text;
}

}  // namespace

Status Artifact::open(Span<std::uint8_t> file, Check check, Artifact* artifact) {
  artifact->file_ = file;
  Skeleton& skeleton = artifact->skeleton_;
  Status status = read_skeleton(file, &skeleton);
  if (status.ok()) status = check_digests(skeleton.sections, false);
  if (!status.ok()) return status;
  const Section* manifest = skeleton.find(SectionKind::kManifest, kManifestName);
  const Section* index = skeleton.find(SectionKind::kCanary, kCanaryIndexName);
  const Section* tensors = skeleton.find(SectionKind::kCanary, kCanaryTensorsName);
  status = read_manifest(manifest->bytes, &artifact->manifest_);
  if (status.ok()) {
    status = read_canary(index->bytes, tensors->bytes, artifact->manifest_, &artifact->canary_);
  }
  if (status.ok() && check == Check::kAll) status = artifact->verify();
  return status;
}

Status Artifact::verify() const { return check_digests(skeleton_.sections, true); }

const std::uint8_t* Artifact::signer() const {
  const Section* section = find(SectionKind::kSignature, kSignatureName);
  return section == nullptr ? nullptr : section->bytes.begin();
}

Status Artifact::verify_signature(const std::uint8_t* public_key, const Ed25519& ed25519) const {
  const std::uint8_t* signer = this->signer();
  if (signer == nullptr) {
    return Status::failure("the file is not signed; take it from its maker, or sign it");
  }
  if (!std::equal(public_key, public_key + kKeyBytes, signer)) {
    return Status::failure("the file is signed with the key " + hexadecimal(signer) +
                           ", not with " + hexadecimal(public_key) + "; take it from its maker");
  }
  const Digest root = unsigned_root(file_);
  std::vector<std::uint8_t> message(kDomain.begin(), kDomain.end());
  message.insert(message.end(), root.begin(), root.end());
  if (ed25519.verify(public_key, message.data(), message.size(), signer + kKeyBytes,
                     ed25519.user_data)) {
    return Status::success();
  }
  return Status::failure("the signature is not that of this file; it was changed or made up");
}

}  // namespace lamella::file
