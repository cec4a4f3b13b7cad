#include "bind/generate.h"

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <exception>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "bind/engine.h"
#include "engine/generate.h"

namespace lamella {
namespace {

namespace py = pybind11;

using Ids = std::vector<std::int32_t>;
using Floats = py::array_t<float, py::array::c_style>;

Span<std::int32_t> span_of(const Ids& ids) { return {ids.data(), ids.size()}; }

// Calls a function of Python for each token, from a thread without the lock of the interpreter.
class Callback : public TokenSink {
 public:
  explicit Callback(const py::function& function) : function_(function) {}

  bool token(std::int32_t id) override {
    const py::gil_scoped_acquire locked;
    try {
      const py::object answer = function_(id);
      return answer.is_none() || answer.cast<bool>();
    } catch (...) {
      error_ = std::current_exception();
      return false;
    }
  }

  void rethrow() const {
    if (error_) std::rethrow_exception(error_);
  }

 private:
  const py::function& function_;
  std::exception_ptr error_;
};

const char* name_of(Ending ending) {
  constexpr const char* kNames[] = {"most", "stop", "caller", "full"};
  return kNames[static_cast<std::size_t>(ending)];
}

// A generator with the program and the arrays that it reads.
class BoundGenerator {
 public:
  BoundGenerator(const py::bytes& program, const WeightBytes& weights, std::size_t threads,
                 const SymbolSizes& symbols)
      : weights_(weights) {
    require(
        Generator::open(open_session(program, weights_, threads, symbols, &program_), &generator_));
  }

  Floats append(const Ids& ids, std::size_t rows) {
    run([&] { return generator_->append(span_of(ids), rows); });
    return Floats({rows, generator_->vocabulary()}, generator_->logits());
  }

  void extend(const Ids& ids) {
    run([&] { return generator_->append(span_of(ids)); });
  }

  std::int32_t next(const Sampling& sampling) {
    std::int32_t id = 0;
    run([&] { return generator_->next(sampling, &id); });
    return id;
  }

  const char* generate(const Ids& prompt, const py::function& sink, std::size_t most,
                       const Sampling& sampling, const Ids& stops) {
    Callback callback(sink);
    Ending ending = Ending::kMost;
    run([&] {
      return generator_->generate(span_of(prompt), {most, sampling, stops}, &callback, &ending);
    });
    callback.rethrow();
    return name_of(ending);
  }

  void reset() {
    run([&] {
      generator_->reset();
      return Status::success();
    });
  }

  const Generator& generator() const { return *generator_; }

 private:
  // Runs without the lock of the interpreter; refuses a second caller, be it another thread or
  // the function that takes the tokens.
  template <typename Body>
  void run(const Body& body);

  Program program_ = {};
  WeightBytes weights_;
  std::unique_ptr<Generator> generator_;
  std::mutex busy_;
};

template <typename Body>
void BoundGenerator::run(const Body& body) {
  const std::unique_lock<std::mutex> turn(busy_, std::try_to_lock);
  if (!turn.owns_lock()) {
    throw py::value_error("the generator is running already; open one for each text");
  }
  Status status = Status::success();
  {
    const py::gil_scoped_release unlocked;
    status = body();
  }
  require(status);
}

}  // namespace

void bind_generate(py::module_& module) {
  using py::arg;
  const auto number = [](std::size_t (Generator::*read)() const) {
    return py::cpp_function(
        [read](const BoundGenerator& self) { return (self.generator().*read)(); });
  };
  py::class_<BoundGenerator>(module, "Generator")
      .def(py::init<const py::bytes&, const WeightBytes&, std::size_t, const SymbolSizes&>(),
           arg("program"), arg("weights"), arg("threads") = 1, arg("symbols") = SymbolSizes())
      .def("append", &BoundGenerator::append, arg("ids"), arg("rows") = 1)
      .def("extend", &BoundGenerator::extend, arg("ids"))
      .def("next", &BoundGenerator::next, arg("sampling"))
      .def("generate", &BoundGenerator::generate, arg("prompt"), arg("sink"), arg("most") = 64,
           arg("sampling") = Sampling{0, 0, 1, 0, 0}, arg("stops") = Ids())
      .def("reset", &BoundGenerator::reset)
      .def_property_readonly("length", number(&Generator::length))
      .def_property_readonly("most_length", number(&Generator::most_length))
      .def_property_readonly("most_rows", number(&Generator::most_rows))
      .def_property_readonly("vocabulary", number(&Generator::vocabulary));
}

}  // namespace lamella
