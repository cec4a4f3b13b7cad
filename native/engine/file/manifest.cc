#include "engine/file/manifest.h"

#include <algorithm>
#include <string_view>

#include "engine/file/sentence.h"

namespace lamella::file {
namespace {

constexpr std::size_t kMostRows = std::size_t{1} << 16;

Status flaw(const std::string& sentence) { return Status::failure(sentence); }

// Whether no two of the names are equal; leaves the one that comes twice.
bool all_differ(std::vector<std::string_view> names, std::string_view* twice) {
  std::sort(names.begin(), names.end());
  const auto found = std::adjacent_find(names.begin(), names.end());
  if (found != names.end()) *twice = *found;
  return found == names.end();
}

// A key may be missing or null.
bool is_given(JsonValue value) {
  return !value.is(JsonKind::kAbsent) && !value.is(JsonKind::kNull);
}

Status read_shape(JsonValue shape, const std::string& what, std::vector<Axis>* axes) {
  if (!is_list(shape, kMostAxes)) {
    return flaw(what + " needs a shape of at most " + std::to_string(kMostAxes) + " axes");
  }
  for (const JsonValue value : shape) {
    Axis axis;
    if (is_count(value)) {
      axis.size = static_cast<std::uint64_t>(value.integer());
    } else if (is_text(value)) {
      axis.name = value.text();
    } else if (!value.is(JsonKind::kNull)) {
      return flaw(what + " has the shape " + shown(shape) + "; an axis is a size, a name or null");
    }
    axes->push_back(axis);
  }
  return Status::success();
}

Status read_port(JsonValue row, const std::string& where, Port* port) {
  const JsonValue name = row.find("name"), dtype = row.find("dtype");
  if (!is_text(name)) return flaw(where + ": a tensor without a name");
  const std::string what = where + ": tensor " + quoted(name.text());
  if (!dtype.is(JsonKind::kText) || !find_dtype(dtype.text(), &port->dtype)) {
    return flaw(what + " has the unknown dtype " + shown(dtype));
  }
  port->name = name.text();
  return read_shape(row.find("shape"), what, &port->shape);
}

Status read_ports(JsonValue rows, const std::string& side, std::vector<Port>* ports) {
  const std::string where = "manifest key '" + side + "'";
  if (!is_list(rows, kMostRows)) {
    return flaw(where + " must be a list of at most " + std::to_string(kMostRows) + " tensors");
  }
  for (const JsonValue row : rows) {
    Port port;
    const Status status = read_port(row, where, &port);
    if (!status.ok()) return status;
    ports->push_back(std::move(port));
  }
  std::vector<std::string_view> names;
  for (const Port& port : *ports) names.push_back(port.name);
  std::string_view twice;
  if (all_differ(std::move(names), &twice)) return Status::success();
  return flaw(where + " names a tensor twice: " + quoted(twice));
}

Status check_layers(JsonValue rows) {
  if (!is_list(rows, kMostRows)) return flaw("manifest key 'layers' must be a list of layers");
  std::vector<std::string_view> ids;
  for (const JsonValue row : rows) {
    const JsonValue id = row.find("id");
    if (!is_text(id) || !is_text(row.find("format")) || !is_count(row.find("nbytes"))) {
      return flaw("a layer of the manifest needs id and format (texts) and nbytes (a count)");
    }
    ids.push_back(id.text());
  }
  std::string_view twice;
  if (all_differ(std::move(ids), &twice)) return Status::success();
  return flaw("the manifest lists layer " + quoted(twice) + " twice");
}

Status read_tolerance(JsonValue row, Tolerance* tolerance) {
  const JsonValue error = row.find("max_abs_error"), cosine = row.find("min_cosine");
  if (!is_number(error)) {
    return flaw("manifest key 'canary' must hold the number max_abs_error");
  }
  tolerance->max_abs_error = error.number();
  if (tolerance->max_abs_error < 0) {
    return flaw("the canary's max_abs_error is " + shown(error) + ", below 0");
  }
  if (!is_given(cosine)) return Status::success();
  if (!is_number(cosine) || cosine.number() < -1 || cosine.number() > 1) {
    return flaw("the canary's min_cosine " + shown(cosine) + " is not in [-1, 1]");
  }
  tolerance->min_cosine = cosine.number();
  return Status::success();
}

Status read_optional_count(JsonValue row, const char* key, std::optional<std::int64_t>* count) {
  const JsonValue value = row.find(key);
  if (!is_given(value)) return Status::success();
  if (!is_count(value)) return flaw("generation." + std::string(key) + " must be a count");
  *count = value.integer();
  return Status::success();
}

Status read_generation(JsonValue row, Generation* generation) {
  if (row.is(JsonKind::kAbsent)) return Status::success();
  if (!row.is(JsonKind::kObject)) return flaw("manifest key 'generation' must be an object");
  const JsonValue ids = row.find("eos_token_ids");
  const bool absent = ids.is(JsonKind::kAbsent);
  if (!absent && !is_list_of_counts(ids, kMostJsonBytes)) {
    return flaw("generation.eos_token_ids must be a list of token ids");
  }
  if (!absent) {
    for (const JsonValue id : ids) generation->eos_token_ids.push_back(id.integer());
  }
  const Status status = read_optional_count(row, "bos_token_id", &generation->bos_token_id);
  if (!status.ok()) return status;
  return read_optional_count(row, "context_length", &generation->context_length);
}

Status read_names(JsonValue root, Manifest* manifest) {
  for (const char* key : {"lamella", "target"}) {
    if (!is_text(root.find(key))) {
      return flaw("manifest key '" + std::string(key) + "' must be a text");
    }
  }
  const JsonValue name = root.find("model").find("name");
  if (!is_text(name)) return flaw("manifest key 'model' must be an object with a name");
  manifest->lamella = root.find("lamella").text();
  manifest->target = root.find("target").text();
  manifest->model = name.text();
  return Status::success();
}

}  // namespace

Status read_manifest(Span<std::uint8_t> text, Manifest* manifest) {
  *manifest = {};
  JsonDocument document;
  Status status = JsonDocument::parse(text, &document);
  if (!status.ok()) return flaw("manifest: " + status.sentence());
  const JsonValue root = document.root();
  if (!root.is(JsonKind::kObject)) return flaw("the manifest is not a JSON object");
  status = read_names(root, manifest);
  if (status.ok()) status = check_layers(root.find("layers"));
  if (status.ok()) status = read_tolerance(root.find("canary"), &manifest->canary);
  if (status.ok()) status = read_generation(root.find("generation"), &manifest->generation);
  if (status.ok()) status = read_ports(root.find("inputs"), "inputs", &manifest->inputs);
  if (status.ok()) status = read_ports(root.find("outputs"), "outputs", &manifest->outputs);
  if (status.ok() && manifest->outputs.empty()) {
    status = flaw("manifest key 'outputs' is empty; the program has no result");
  }
  return status;
}

}  // namespace lamella::file
