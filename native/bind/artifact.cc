#include "bind/artifact.h"

#include <pybind11/numpy.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/file/artifact.h"
#include "engine/file/json.h"
#include "engine/file/sha256.h"

namespace lamella {

using namespace file;  // NOLINT
namespace {

namespace py = pybind11;

Span<std::uint8_t> span_of(const py::bytes& content) {
  const std::string_view view(content);
  return {reinterpret_cast<const std::uint8_t*>(view.data()), view.size()};
}

py::bytes to_bytes(const std::uint8_t* bytes, std::size_t size) {
  return py::bytes(reinterpret_cast<const char*>(bytes), size);
}

void raise_unless(const Status& status) {
  if (!status.ok()) throw py::value_error(status.sentence());
}

// An artifact and the bytes that it views.
struct ArtifactFile {
  py::bytes content;
  Artifact artifact;
};

std::unique_ptr<ArtifactFile> open_artifact(const py::bytes& content, bool structure) {
  auto file = std::make_unique<ArtifactFile>(ArtifactFile{content, {}});
  const Check check = structure ? Check::kStructure : Check::kAll;
  raise_unless(Artifact::open(span_of(file->content), check, &file->artifact));
  return file;
}

py::list sections(const ArtifactFile& file) {
  py::list rows;
  for (const Section& section : file.artifact.sections()) {
    const auto offset = section.bytes.begin() - file.artifact.file().begin();
    rows.append(py::make_tuple(label(section), offset,
                               to_bytes(section.bytes.begin(), section.bytes.size()),
                               to_bytes(section.digest, Digest().size())));
  }
  return rows;
}

py::list ports(const std::vector<Port>& from) {
  py::list rows;
  for (const Port& port : from) {
    py::list shape;
    for (const Axis& axis : port.shape) {
      if (axis.size.has_value()) {
        shape.append(*axis.size);
      } else {
        shape.append(axis.name.empty() ? py::object(py::none()) : py::str(axis.name));
      }
    }
    rows.append(py::make_tuple(port.name, dtype_name(port.dtype), py::tuple(shape)));
  }
  return rows;
}

template <typename Number>
py::object or_none(const std::optional<Number>& number) {
  return number.has_value() ? py::cast(*number) : py::none();
}

py::dict manifest(const ArtifactFile& file) {
  const Manifest& from = file.artifact.manifest();
  py::list eos;
  for (const std::int64_t id : from.generation.eos_token_ids) eos.append(id);
  py::dict to;
  to["lamella"] = from.lamella;
  to["target"] = from.target;
  to["model"] = from.model;
  to["inputs"] = ports(from.inputs);
  to["outputs"] = ports(from.outputs);
  to["max_abs_error"] = from.canary.max_abs_error;
  to["min_cosine"] = or_none(from.canary.min_cosine);
  to["eos_token_ids"] = eos;
  to["bos_token_id"] = or_none(from.generation.bos_token_id);
  to["context_length"] = or_none(from.generation.context_length);
  return to;
}

py::dict arrays(const std::vector<CanaryTensor>& tensors) {
  py::dict named;
  for (const CanaryTensor& tensor : tensors) {
    py::array array(py::dtype(dtype_name(tensor.dtype)), tensor.shape);
    tensor.copy_to(static_cast<std::uint8_t*>(array.mutable_data()));
    named[py::str(tensor.name)] = array;
  }
  return named;
}

// Asks a Python function (public key, message, signature) -> bool.
bool ask(const std::uint8_t* public_key, const std::uint8_t* message, std::size_t size,
         const std::uint8_t* signature, void* function) {
  return (*static_cast<py::function*>(function))(to_bytes(public_key, 32), to_bytes(message, size),
                                                 to_bytes(signature, 64))
      .cast<bool>();
}

void verify_signature(const ArtifactFile& file, const py::bytes& public_key, py::function ed25519) {
  if (span_of(public_key).size() != 32) throw py::value_error("a public key has 32 bytes");
  raise_unless(file.artifact.verify_signature(span_of(public_key).begin(), {&ask, &ed25519}));
}

py::object to_python(JsonValue value) {
  switch (value.kind()) {
    case JsonKind::kAbsent:
    case JsonKind::kNull:
      return py::none();
    case JsonKind::kBool:
      return py::bool_(value.truth());
    case JsonKind::kInteger:
      return py::int_(value.integer());
    case JsonKind::kReal:
      return py::float_(value.number());
    case JsonKind::kText:
      return py::str(value.text().data(), value.text().size());
    case JsonKind::kList:
      break;
    case JsonKind::kObject: {
      py::dict named;
      for (const JsonValue item : value) {
        named[py::str(item.key().data(), item.key().size())] = to_python(item);
      }
      return named;
    }
  }
  py::list items;
  for (const JsonValue item : value) items.append(to_python(item));
  return items;
}

py::object parse_json(const py::bytes& text) {
  JsonDocument document;
  raise_unless(JsonDocument::parse(span_of(text), &document));
  return to_python(document.root());
}

py::bytes hashed(const Sha256Kernel& kernel, const py::iterable& pieces) {
  if (!kernel.runs()) throw py::value_error(std::string(kernel.name) + " does not run here");
  Sha256 hash(kernel);
  for (const py::handle piece : pieces) hash.add(span_of(py::cast<py::bytes>(piece)));
  const Digest digest = hash.digest();
  return to_bytes(digest.data(), digest.size());
}

}  // namespace

void bind_artifact(py::module_& module) {
  using py::arg;
  py::class_<ArtifactFile>(module, "ArtifactFile")
      .def(py::init(&open_artifact), arg("content"), arg("structure") = false)
      .def("sections", &sections)
      .def("manifest", &manifest)
      .def("canary_inputs",
           [](const ArtifactFile& file) { return arrays(file.artifact.canary().inputs); })
      .def("canary_outputs",
           [](const ArtifactFile& file) { return arrays(file.artifact.canary().outputs); })
      .def("root", [](const ArtifactFile& file) { return to_bytes(file.artifact.root(), 32); })
      .def("signer",
           [](const ArtifactFile& file) -> py::object {
             const std::uint8_t* key = file.artifact.signer();
             return key == nullptr ? py::object(py::none()) : to_bytes(key, 32);
           })
      .def("verify", [](const ArtifactFile& file) { raise_unless(file.artifact.verify()); })
      .def("verify_signature", &verify_signature, arg("public_key"), arg("ed25519"));
  py::class_<Sha256Kernel>(module, "Sha256Kernel")
      .def_readonly("name", &Sha256Kernel::name)
      .def_property_readonly("runs_here", [](const Sha256Kernel& kernel) { return kernel.runs(); })
      .def("digest", &hashed, arg("pieces"));
  module.def("sha256_kernels", [] {
    py::list rows;
    for (const Sha256Kernel& row : sha256_kernels()) {
      rows.append(py::cast(&row, py::return_value_policy::reference));
    }
    return rows;
  });
  module.def("parse_json", &parse_json, arg("text"));
}

}  // namespace lamella
