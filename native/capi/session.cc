// lamella.h: runs.
#include <cstring>

#include "capi/canary.h"
#include "capi/handles.h"

namespace lamella {
namespace {

constexpr std::size_t kAbsent = SIZE_MAX;

// The port of this name, or kAbsent with a sentence that lists those there are.
std::size_t find(const std::vector<Port>& ports, const char* name, const char* kind,
                 std::string* error) {
  std::string names;
  for (std::size_t i = 0; i < ports.size(); ++i) {
    if (name != nullptr && ports[i].name == name) return i;
    names += (i == 0 ? "" : ", ") + ports[i].name;
  }
  *error = std::string("there is no ") + kind + " " + (name == nullptr ? "NULL" : name) +
           "; there are: " + names;
  return kAbsent;
}

Status start(lamella_session* session, const lamella_options& options) {
  const Program& program = session->model->program;
  SessionOptions chosen{options.threads == 0 ? 1 : options.threads, {}};
  if (options.capacity != 0) chosen.symbols.emplace_back("capacity", options.capacity);
  session->inputs.resize(program.inputs.size());
  return Session::open(program, session->model->weights, chosen, &session->session);
}

}  // namespace
}  // namespace lamella

lamella_status lamella_start(const lamella_model* model, const lamella_options* options,
                             lamella_session** session) {
  if (session == nullptr) return LAMELLA_BAD_ARGUMENT;
  *session = new (std::nothrow) lamella_session{model, nullptr, {}, {}};
  if (*session == nullptr) return LAMELLA_NO_MEMORY;
  std::string* error = &(*session)->error;
  if (model == nullptr || !model->error.empty() || model->weights.begin() == nullptr) {
    *error = "the model is not open";
    return LAMELLA_BAD_ARGUMENT;
  }
  const lamella_options chosen = options == nullptr ? lamella_options{} : *options;
  return lamella::guarded(error, [&] {
    return lamella::kept(lamella::start(*session, chosen), LAMELLA_FAILED, error);
  });
}

void lamella_stop(lamella_session* session) { delete session; }

const char* lamella_error(const lamella_session* session) {
  return session == nullptr ? "there is no memory for the session" : session->error.c_str();
}

lamella_status lamella_set_input(lamella_session* session, const char* name,
                                 const lamella_tensor* tensor) {
  if (session == nullptr || session->session == nullptr) return LAMELLA_BAD_ARGUMENT;
  return lamella::guarded(&session->error, [&] {
    const auto& ports = session->model->program.inputs;
    const std::size_t at = lamella::find(ports, name, "input", &session->error);
    if (at == lamella::kAbsent) return LAMELLA_BAD_ARGUMENT;
    const bool fits = tensor != nullptr && tensor->data != nullptr &&
                      tensor->rank <= LAMELLA_MOST_AXES && tensor->dtype >= LAMELLA_FLOAT32 &&
                      tensor->dtype <= LAMELLA_BOOL;
    lamella::Tensor& input = session->inputs[at];
    for (std::uint32_t i = 0; fits && i < tensor->rank; ++i) {
      if (tensor->sizes[i] < 0 || tensor->sizes[i] > INT32_MAX) {
        session->error = "input " + ports[at].name + " has a size below 0 or above 2^31 - 1";
        return LAMELLA_BAD_ARGUMENT;
      }
      input.sizes[i] = static_cast<std::size_t>(tensor->sizes[i]);
    }
    if (!fits) {
      session->error = "input " + ports[at].name + " needs data, a dtype, and at most 6 axes";
      return LAMELLA_BAD_ARGUMENT;
    }
    input.dtype = static_cast<lamella::DType>(tensor->dtype);
    input.rank = tensor->rank;
    input.data = tensor->data;
    return LAMELLA_OK;
  });
}

lamella_status lamella_run(lamella_session* session) {
  if (session == nullptr || session->session == nullptr) return LAMELLA_BAD_ARGUMENT;
  return lamella::guarded(&session->error, [&] {
    const auto& ports = session->model->program.inputs;
    for (std::size_t i = 0; i < ports.size(); ++i) {
      if (session->inputs[i].data != nullptr) continue;
      session->error = "input " + ports[i].name + " is not set";
      return LAMELLA_BAD_ARGUMENT;
    }
    return lamella::kept(session->session->run(session->inputs), LAMELLA_FAILED, &session->error);
  });
}

lamella_status lamella_get_output(lamella_session* session, const char* name,
                                  lamella_tensor* tensor) {
  if (session == nullptr || session->session == nullptr || tensor == nullptr) {
    return LAMELLA_BAD_ARGUMENT;
  }
  return lamella::guarded(&session->error, [&] {
    const auto& ports = session->model->program.outputs;
    const std::size_t at = lamella::find(ports, name, "output", &session->error);
    if (at == lamella::kAbsent) return LAMELLA_BAD_ARGUMENT;
    const lamella::Tensor& output = session->session->output(at);
    *tensor = {};
    tensor->dtype = static_cast<lamella_dtype>(output.dtype);
    tensor->rank = static_cast<std::uint32_t>(output.rank);
    for (std::size_t i = 0; i < output.rank; ++i) {
      tensor->sizes[i] = static_cast<std::int64_t>(output.sizes[i]);
    }
    tensor->data = output.data;
    return LAMELLA_OK;
  });
}

lamella_status lamella_verify(lamella_session* session) {
  if (session == nullptr || session->session == nullptr) return LAMELLA_BAD_ARGUMENT;
  return lamella::guarded(&session->error, [&] {
    for (lamella::Tensor& input : session->inputs) input = {};
    return lamella::kept(lamella::run_canary(session->model->artifact, session->session.get()),
                         LAMELLA_FAILED, &session->error);
  });
}

lamella_status lamella_memory_use(const lamella_session* session, lamella_memory* memory) {
  if (session == nullptr || session->session == nullptr || memory == nullptr) {
    return LAMELLA_BAD_ARGUMENT;
  }
  const lamella::MemoryUse& use = session->session->memory();
  *memory = {use.weights, use.arena, use.state, use.scratch};
  return LAMELLA_OK;
}
