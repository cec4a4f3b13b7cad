#include "bind/engine.h"

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "engine/check.h"
#include "engine/op.h"
#include "engine/session.h"

namespace lamella {
namespace {

namespace py = pybind11;

using Arrays = std::map<std::string, py::array>;
using Names = std::vector<std::pair<std::string, std::string>>;

py::dtype numpy_of(DType dtype) { return py::dtype(dtype == DType::kBool ? "?" : name_of(dtype)); }

// The dtype of an array, or a sentence where the engine has none for it.
DType dtype_of(const py::array& array, const std::string& name) {
  for (std::uint8_t i = 0; i < kDTypes; ++i) {
    if (array.dtype().equal(numpy_of(static_cast<DType>(i)))) return static_cast<DType>(i);
  }
  throw py::value_error("input " + name + " has the dtype " +
                        py::str(array.dtype()).cast<std::string>() +
                        ", which the engine does not know");
}

Tensor view_of(const py::array& array, const std::string& name) {
  if ((array.flags() & py::array::c_style) == 0) {
    throw py::value_error("input " + name + " must be C-contiguous; use numpy.ascontiguousarray");
  }
  Tensor tensor{dtype_of(array, name), static_cast<std::size_t>(array.ndim()), {}, nullptr};
  if (tensor.rank > kMostAxes) throw py::value_error("input " + name + " has too many axes");
  for (std::size_t i = 0; i < tensor.rank; ++i) {
    tensor.sizes[i] = static_cast<std::size_t>(array.shape(static_cast<py::ssize_t>(i)));
  }
  tensor.data = const_cast<void*>(array.data());
  return tensor;
}

py::array copy_of(const Tensor& tensor) {
  const std::vector<py::ssize_t> shape(tensor.sizes, tensor.sizes + tensor.rank);
  return py::array(numpy_of(tensor.dtype), shape, tensor.data);
}

// The time of each call of a run.
class Timer : public Observer {
 public:
  void called(std::size_t) override {
    const auto now = std::chrono::steady_clock::now();
    seconds.push_back(std::chrono::duration<double>(now - last_).count());
    last_ = now;
  }

  std::vector<double> seconds;

 private:
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

// Keeps a copy of what each call wrote, with the number of its value.
class Recorder : public Observer {
 public:
  explicit Recorder(const Session& session) : session_(session) {}

  void called(std::size_t call) override {
    const CallRow& row = session_.program().calls[call];
    const std::uint32_t value = row.operands[row.operands.size() - row.written];
    results.push_back(copy_of(session_.value(value)));
  }

  std::vector<py::array> results;

 private:
  const Session& session_;
};

// A session with the program and the arrays that it reads.
class BoundSession {
 public:
  BoundSession(const py::bytes& program, const WeightBytes& weights, std::size_t threads,
               const SymbolSizes& symbols);

  Arrays run(const Arrays& inputs);
  std::vector<double> profile(const Arrays& inputs);
  std::vector<py::array> record(const Arrays& inputs);
  py::dict memory() const;
  Names calls() const;
  void forget() { session_->forget(); }

 private:
  void feed(const Arrays& inputs);
  void start(Observer* observer);

  Program program_ = {};
  WeightBytes weights_;
  std::vector<Tensor> fed_;
  std::unique_ptr<Session> session_;
};

BoundSession::BoundSession(const py::bytes& program, const WeightBytes& weights,
                           std::size_t threads, const SymbolSizes& symbols)
    : weights_(weights), session_(open_session(program, weights_, threads, symbols, &program_)) {}

Arrays BoundSession::run(const Arrays& inputs) {
  feed(inputs);
  start(nullptr);
  Arrays given;
  for (std::size_t i = 0; i < program_.outputs.size(); ++i) {
    given.emplace(program_.outputs[i].name, copy_of(session_->output(i)));
  }
  return given;
}

std::vector<double> BoundSession::profile(const Arrays& inputs) {
  feed(inputs);
  Timer timer;
  start(&timer);
  return timer.seconds;
}

std::vector<py::array> BoundSession::record(const Arrays& inputs) {
  feed(inputs);
  Recorder recorder(*session_);
  require(session_->run(fed_, &recorder));
  return recorder.results;
}

py::dict BoundSession::memory() const {
  const MemoryUse& use = session_->memory();
  py::dict bytes;
  bytes["weights"] = use.weights;
  bytes["arena"] = use.arena;
  bytes["state"] = use.state;
  bytes["scratch"] = use.scratch;
  return bytes;
}

Names BoundSession::calls() const {
  Names rows;
  for (const CallRow& row : program_.calls) {
    rows.emplace_back(program_.operations[row.operation].name, program_.labels[row.label]);
  }
  return rows;
}

void BoundSession::feed(const Arrays& inputs) {
  fed_.clear();
  if (inputs.size() != program_.inputs.size()) {
    throw py::value_error("the program has " + std::to_string(program_.inputs.size()) +
                          " inputs, but " + std::to_string(inputs.size()) + " were given");
  }
  for (const Port& port : program_.inputs) {
    const auto found = inputs.find(port.name);
    if (found == inputs.end()) throw py::value_error("input " + port.name + " is missing");
    fed_.push_back(view_of(found->second, port.name));
  }
}

void BoundSession::start(Observer* observer) {
  const py::gil_scoped_release unlocked;
  require(session_->run(fed_, observer));
}

std::vector<std::pair<std::string, int>> operations() {
  std::vector<std::pair<std::string, int>> rows;
  for (const Op* op : all_ops()) rows.emplace_back(op->name, op->version);
  return rows;
}

}  // namespace

void require(const Status& status) {
  if (!status.ok()) throw py::value_error(status.sentence());
}

std::unique_ptr<Session> open_session(const py::bytes& text, const WeightBytes& weights,
                                      std::size_t threads, const SymbolSizes& symbols,
                                      Program* program) {
  const std::string bytes = text;
  require(
      read_program({reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()}, program));
  const SessionOptions options{threads, {symbols.begin(), symbols.end()}};
  std::unique_ptr<Session> session;
  require(Session::open(*program, {weights.data(), static_cast<std::size_t>(weights.size())},
                        options, &session));
  return session;
}

void bind_engine(py::module_& module) {
  using py::arg;
  module.def("engine_operations", &operations);
  py::class_<BoundSession>(module, "Session")
      .def(py::init<const py::bytes&, const WeightBytes&, std::size_t, const SymbolSizes&>(),
           arg("program"), arg("weights"), arg("threads") = 1, arg("symbols") = SymbolSizes())
      .def("run", &BoundSession::run, arg("inputs"))
      .def("profile", &BoundSession::profile, arg("inputs"))
      .def("record", &BoundSession::record, arg("inputs"))
      .def("calls", &BoundSession::calls)
      .def("forget", &BoundSession::forget)
      .def_property_readonly("memory", &BoundSession::memory);
}

}  // namespace lamella
