// lamella.h: files.
#include <cstring>

#include "capi/handles.h"

namespace lamella {
namespace {

using file::SectionKind;

Status read_native(lamella_model* model, Span<std::uint8_t> bytes, std::uint32_t flags) {
  const bool skip = (flags & LAMELLA_SKIP_DIGESTS) != 0;
  const auto check = skip ? file::Check::kStructure : file::Check::kAll;
  const Status opened = file::Artifact::open(bytes, check, &model->artifact);
  if (!opened.ok()) return opened;
  const std::string& target = model->artifact.manifest().target;
  if (target != "native") {
    return Status::failure("the file is for the target " + target +
                           ", but this engine runs the target native; pack it again for that");
  }
  const auto* program = model->artifact.find(SectionKind::kProgram, "program.bin");
  const auto* weights = model->artifact.find(SectionKind::kProgram, "weights.bin");
  if (program == nullptr || weights == nullptr) {
    return Status::failure("the file lacks program.bin or weights.bin; pack it again");
  }
  model->weights = weights->bytes;
  return read_program(program->bytes, &model->program);
}

// Makes a handle and fills it by open(model).
template <typename Open>
lamella_status opened(std::uint32_t flags, lamella_model** model, const Open& open) {
  if (model == nullptr) return LAMELLA_BAD_ARGUMENT;
  *model = new (std::nothrow) lamella_model;
  if (*model == nullptr) return LAMELLA_NO_MEMORY;
  std::string* error = &(*model)->error;
  if ((flags & ~LAMELLA_SKIP_DIGESTS) != 0) {
    *error = "unknown flags";
    return LAMELLA_BAD_ARGUMENT;
  }
  return guarded(error, [&] { return kept(open(*model), LAMELLA_BAD_FILE, error); });
}

// Sizes that depend on a symbol are free.
void describe(const Value& value, lamella_tensor* shape) {
  *shape = {};
  shape->dtype = static_cast<lamella_dtype>(value.dtype);
  shape->rank = static_cast<std::uint32_t>(value.rank);
  for (std::size_t i = 0; i < value.rank; ++i) {
    shape->sizes[i] = value.axes[i].mask == 0 ? value.axes[i].add : -1;
  }
}

const char* port(const lamella_model* model, const std::vector<Port>& ports, std::uint32_t index,
                 lamella_tensor* shape) {
  if (index >= ports.size()) return nullptr;
  if (shape != nullptr) describe(model->program.values[ports[index].value], shape);
  return ports[index].name.c_str();
}

}  // namespace
}  // namespace lamella

uint32_t lamella_abi_version(void) { return LAMELLA_ABI_VERSION; }

lamella_status lamella_open(const char* path, uint32_t flags, lamella_model** model) {
  return lamella::opened(flags, model, [&](lamella_model* to) {
    if (path == nullptr) return lamella::Status::failure("the path is NULL");
    const lamella::Status mapped = lamella::file::MappedFile::open(path, &to->mapped);
    return mapped.ok() ? lamella::read_native(to, to->mapped.bytes(), flags) : mapped;
  });
}

lamella_status lamella_open_memory(const void* data, size_t size, uint32_t flags,
                                   lamella_model** model) {
  return lamella::opened(flags, model, [&](lamella_model* to) {
    if (data == nullptr || reinterpret_cast<std::uintptr_t>(data) % 64 != 0) {
      return lamella::Status::failure("the file must lie at a multiple of 64 bytes in memory");
    }
    return lamella::read_native(to, {static_cast<const std::uint8_t*>(data), size}, flags);
  });
}

void lamella_close(lamella_model* model) { delete model; }

const char* lamella_model_error(const lamella_model* model) {
  return model == nullptr ? "there is no memory for the model" : model->error.c_str();
}

const char* lamella_input(const lamella_model* model, uint32_t index, lamella_tensor* shape) {
  return model == nullptr ? nullptr : lamella::port(model, model->program.inputs, index, shape);
}

const char* lamella_output(const lamella_model* model, uint32_t index, lamella_tensor* shape) {
  return model == nullptr ? nullptr : lamella::port(model, model->program.outputs, index, shape);
}

const void* lamella_attachment(const lamella_model* model, const char* name, size_t* size) {
  if (model == nullptr || name == nullptr) return nullptr;
  const auto* section = model->artifact.find(lamella::file::SectionKind::kAttachment, name);
  if (section == nullptr) return nullptr;
  if (size != nullptr) *size = section->bytes.size();
  return section->bytes.begin();
}
