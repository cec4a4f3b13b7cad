#include "engine/file/canary.h"

#include <algorithm>
#include <cstring>

#include "engine/file/json.h"
#include "engine/file/sections.h"
#include "engine/file/sentence.h"

namespace lamella::file {
namespace {

// Bounds the elements that a shape may claim, empty axes aside, so that no product overflows.
constexpr std::uint64_t kMostElements = std::uint64_t{1} << 40;
// A larger tensor may be stored as its first so many bytes, which repeat; up to the second size.
constexpr std::uint64_t kPeriod = std::uint64_t{1} << 16;
constexpr std::uint64_t kMostRepeated = std::uint64_t{1} << 28;

// The letters of a list of names in a sentence.
constexpr std::size_t kMostListed = 256;

Status flaw(const std::string& sentence) { return Status::failure(sentence); }

bool has_keys(JsonValue value, std::initializer_list<const char*> keys) {
  if (!value.is(JsonKind::kObject) || value.size() != keys.size()) return false;
  return std::none_of(keys.begin(), keys.end(),
                      [value](const char* key) { return value.find(key).is(JsonKind::kAbsent); });
}

// Leaves the shape and its number of elements.
Status read_shape(JsonValue shape, const std::string& what, CanaryTensor* tensor,
                  std::uint64_t* elements) {
  if (!is_list_of_counts(shape, kMostAxes)) {
    return flaw(what + " has the impossible shape " + shown(shape));
  }
  std::uint64_t claimed = 1;
  *elements = 1;
  for (const JsonValue value : shape) {
    const auto axis = static_cast<std::uint64_t>(value.integer());
    if (axis > kMostElements / claimed) {
      return flaw(what + " of shape " + shown(shape) + " is too large");
    }
    claimed *= std::max<std::uint64_t>(axis, 1);
    *elements *= axis;
    tensor->shape.push_back(axis);
  }
  return Status::success();
}

// Reads a row of the index. Leaves the bytes that it says are stored, and where.
Status read_row(JsonValue row, const std::string& where, CanaryTensor* tensor,
                std::uint64_t* offset, std::uint64_t* stored) {
  if (!has_keys(row, {"dtype", "name", "offset", "shape", "size"})) {
    return flaw(where + ": a tensor needs exactly dtype, name, offset, shape, size");
  }
  const JsonValue name = row.find("name"), dtype = row.find("dtype"), shape = row.find("shape");
  if (!is_text(name)) {
    return flaw(where + ": a tensor name must be a text of 1 to 256 characters");
  }
  const std::string what = where + ": tensor " + quoted(name.text());
  tensor->name = name.text();
  if (!dtype.is(JsonKind::kText) || !find_dtype(dtype.text(), &tensor->dtype)) {
    return flaw(what + " has the unknown dtype " + shown(dtype));
  }
  std::uint64_t elements = 0;
  const Status status = read_shape(shape, what, tensor, &elements);
  if (!status.ok()) return status;
  const std::uint64_t bytes = elements * dtype_bytes(tensor->dtype);
  const JsonValue from = row.find("offset"), size = row.find("size");
  const bool counts = is_count(from) && is_count(size);
  *offset = counts ? static_cast<std::uint64_t>(from.integer()) : 0;
  *stored = counts ? static_cast<std::uint64_t>(size.integer()) : 0;
  const bool repeats = kPeriod < bytes && bytes <= kMostRepeated && *stored == kPeriod;
  tensor->bytes = static_cast<std::size_t>(bytes);
  if (counts && (*stored == bytes || repeats)) return Status::success();
  return flaw(what + " of shape " + shown(shape) + " and dtype " + shown(dtype) + " takes " +
              std::to_string(bytes) + " bytes, not " + shown(size) + " at byte " + shown(from));
}

// Checks the bytes of a tensor, and the padding behind them.
Status check_bytes(const CanaryTensor& tensor) {
  const std::uint8_t* end = tensor.stored.end();
  const std::size_t padding = aligned(tensor.stored.size()) - tensor.stored.size();
  if (!all_zero(end, end + padding)) {
    return flaw("the padding of canary tensor " + quoted(tensor.name) + " is not zero");
  }
  const auto no_bool = [](std::uint8_t byte) { return byte > 1; };
  if (tensor.dtype == Dtype::kBool && std::any_of(tensor.stored.begin(), end, no_bool)) {
    return flaw("canary tensor " + quoted(tensor.name) + " has a bool that is not 0 or 1");
  }
  return Status::success();
}

// Places a tensor at `*end` of the block, which then is the end of its padding.
Status place(Span<std::uint8_t> block, std::uint64_t offset, std::uint64_t stored, std::size_t* end,
             CanaryTensor* tensor) {
  if (offset != *end || *end > block.size() || stored > block.size() - *end) {
    return flaw("canary tensor " + quoted(tensor->name) + " of " + std::to_string(stored) +
                " bytes at byte " + std::to_string(offset) + " does not fit at byte " +
                std::to_string(*end) + " of " + std::to_string(block.size()));
  }
  tensor->stored = {block.begin() + *end, static_cast<std::size_t>(stored)};
  *end += aligned(tensor->stored.size());
  return Status::success();
}

Status read_side(JsonValue rows, const std::string& where, Span<std::uint8_t> block,
                 std::size_t* end, std::vector<CanaryTensor>* tensors) {
  if (!rows.is(JsonKind::kList)) return flaw(where + ": not a list of tensors");
  for (const JsonValue row : rows) {
    CanaryTensor tensor;
    std::uint64_t offset = 0, stored = 0;
    Status status = read_row(row, where, &tensor, &offset, &stored);
    if (status.ok() && !tensors->empty() && tensor.name <= tensors->back().name) {
      status = flaw(where + ": tensor " + quoted(tensor.name) + " comes twice or out of order");
    }
    if (status.ok()) status = place(block, offset, stored, end, &tensor);
    if (!status.ok()) return status;
    tensors->push_back(std::move(tensor));
  }
  return Status::success();
}

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) {
    text += (text.empty() ? "" : ", ") + name;
    if (text.size() > kMostListed) break;
  }
  return text.empty() ? "none" : printable(text, kMostListed);
}

Status check_side(const std::vector<CanaryTensor>& tensors, std::vector<Port> ports,
                  const std::string& where) {
  const auto earlier = [](const Port& a, const Port& b) { return a.name < b.name; };
  std::sort(ports.begin(), ports.end(), earlier);
  std::vector<std::string> found, expected;
  for (const CanaryTensor& tensor : tensors) found.push_back(tensor.name);
  for (const Port& port : ports) expected.push_back(port.name);
  if (found != expected) {
    return flaw(where + " are " + joined(found) + ", but the manifest says " + joined(expected));
  }
  for (std::size_t i = 0; i < ports.size(); ++i) {
    const CanaryTensor& tensor = tensors[i];
    if (tensor.dtype == ports[i].dtype && tensor.shape.size() == ports[i].shape.size()) continue;
    return flaw(where + ": " + quoted(tensor.name) + " is " + dtype_name(tensor.dtype) +
                " of rank " + std::to_string(tensor.shape.size()) + ", but the manifest says " +
                dtype_name(ports[i].dtype) + " of rank " + std::to_string(ports[i].shape.size()));
  }
  return Status::success();
}

Status check_all_bytes(const std::vector<CanaryTensor>& tensors) {
  for (const CanaryTensor& tensor : tensors) {
    const Status status = check_bytes(tensor);
    if (!status.ok()) return status;
  }
  return Status::success();
}

}  // namespace

void CanaryTensor::copy_to(std::uint8_t* out) const {
  for (std::size_t done = 0; done < bytes; done += stored.size()) {
    std::memcpy(out + done, stored.begin(), std::min(stored.size(), bytes - done));
  }
}

Status read_canary(Span<std::uint8_t> index, Span<std::uint8_t> tensors, const Manifest& manifest,
                   Canary* canary) {
  *canary = {};
  JsonDocument document;
  Status status = JsonDocument::parse(index, &document);
  if (!status.ok()) return flaw("canary/index.json: " + status.sentence());
  const JsonValue root = document.root();
  if (!has_keys(root, {"inputs", "outputs"})) {
    return flaw("the canary index must have exactly inputs and outputs");
  }
  std::size_t end = 0;
  status = read_side(root.find("inputs"), "canary inputs", tensors, &end, &canary->inputs);
  if (status.ok()) {
    status = read_side(root.find("outputs"), "canary outputs", tensors, &end, &canary->outputs);
  }
  if (status.ok() && end != tensors.size()) {
    status = flaw("the canary tensors end at byte " + std::to_string(end) + " of " +
                  std::to_string(tensors.size()));
  }
  // The padding of every tensor lies in the block only where the last one ends with it.
  if (status.ok()) status = check_all_bytes(canary->inputs);
  if (status.ok()) status = check_all_bytes(canary->outputs);
  if (status.ok()) status = check_side(canary->inputs, manifest.inputs, "canary inputs");
  if (status.ok()) status = check_side(canary->outputs, manifest.outputs, "canary outputs");
  return status;
}

}  // namespace lamella::file
