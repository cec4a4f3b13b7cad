#include "fuzz/walk.h"

#include <vector>

#include "engine/file/artifact.h"

namespace lamella::fuzz {

using namespace file;  // NOLINT

namespace {

// A repeating tensor may stand for 4096 times what the file holds.
constexpr std::size_t kMostExpanded = std::size_t{1} << 20;

std::string hex(Span<std::uint8_t> bytes) {
  std::string text;
  for (const std::uint8_t byte : sha256(bytes)) {
    text += "0123456789abcdef"[byte >> 4];
    text += "0123456789abcdef"[byte & 15];
  }
  return text;
}

std::string line(const CanaryTensor& tensor) {
  std::string text = "tensor " + tensor.name + " " + dtype_name(tensor.dtype);
  for (const std::uint64_t axis : tensor.shape) text += " " + std::to_string(axis);
  if (tensor.bytes > kMostExpanded) return text + " repeats " + hex(tensor.stored) + "\n";
  std::vector<std::uint8_t> whole(tensor.bytes);
  tensor.copy_to(whole.data());
  return text + " is " + hex({whole.data(), whole.size()}) + "\n";
}

std::string line(const Port& port) {
  std::string text = "port " + port.name + " " + dtype_name(port.dtype);
  for (const Axis& axis : port.shape) {
    text += axis.size.has_value() ? " " + std::to_string(*axis.size) : " '" + axis.name + "'";
  }
  return text + "\n";
}

std::string lines(const Manifest& manifest) {
  std::string text = manifest.lamella + "\n" + manifest.target + "\n" + manifest.model + "\n";
  for (const Port& port : manifest.inputs) text += line(port);
  for (const Port& port : manifest.outputs) text += line(port);
  for (const std::int64_t id : manifest.generation.eos_token_ids) text += std::to_string(id) + "\n";
  text += std::to_string(manifest.generation.bos_token_id.value_or(-1)) + "\n";
  text += std::to_string(manifest.generation.context_length.value_or(-1)) + "\n";
  text += std::to_string(manifest.canary.max_abs_error) + "\n";
  return text + std::to_string(manifest.canary.min_cosine.value_or(2)) + "\n";
}

// Stands for the Ed25519 of an app: it reads all it is given.
bool says_yes(const std::uint8_t* public_key, const std::uint8_t* message, std::size_t size,
              const std::uint8_t* signature, void* seen) {
  auto* text = static_cast<std::string*>(seen);
  *text += "key " + hex({public_key, 32}) + "\nmessage " + hex({message, size}) + "\nsignature " +
           hex({signature, 64}) + "\n";
  return true;
}

}  // namespace

std::string walk(Span<std::uint8_t> file) {
  Artifact artifact;
  Status status = Artifact::open(file, Check::kStructure, &artifact);
  if (!status.ok()) return "refused: " + status.sentence() + "\n";
  status = artifact.verify();
  std::string text = status.ok() ? "taken\n" : "damaged: " + status.sentence() + "\n";
  for (const Section& section : artifact.sections()) {
    text += "section " + label(section) + " " + hex(section.bytes) + "\n";
  }
  text += lines(artifact.manifest());
  for (const CanaryTensor& tensor : artifact.canary().inputs) text += line(tensor);
  for (const CanaryTensor& tensor : artifact.canary().outputs) text += line(tensor);
  if (artifact.signer() != nullptr) {
    status = artifact.verify_signature(artifact.signer(), {&says_yes, &text});
  }
  return text;
}

}  // namespace lamella::fuzz
