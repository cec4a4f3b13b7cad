#include "bind/tokenizer.h"

#include <pybind11/stl.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/tokenizer/tokenizer.h"

namespace lamella {
namespace {

namespace py = pybind11;

void check(const Status& status) {
  if (!status.ok()) throw py::value_error(status.sentence());
}

// A tokenizer and the bytes that it reads in place.
class PyTokenizer {
 public:
  explicit PyTokenizer(py::bytes blob) : blob_(std::move(blob)) {
    const std::string_view bytes = blob_;
    check(tokenizer_.open({reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()}));
  }

  std::vector<std::int32_t> encode(std::string_view text, bool add_special) const {
    const py::gil_scoped_release unlocked;
    std::vector<std::int32_t> ids;
    const Status status = tokenizer_.encode(text, add_special, &ids);
    const py::gil_scoped_acquire locked;
    check(status);
    return ids;
  }

  std::string decode(const std::vector<std::int32_t>& ids, bool skip_special) const {
    const py::gil_scoped_release unlocked;
    std::string text;
    tokenizer_.decode({ids.data(), ids.size()}, skip_special, &text);
    return text;
  }

  std::string apply_chat(const std::vector<std::pair<std::string, std::string>>& messages,
                         bool generate) const {
    std::vector<ChatMessage> views;
    for (const auto& [role, content] : messages) views.push_back({role, content});
    std::string text;
    check(tokenizer_.apply_chat({views.data(), views.size()}, generate, &text));
    return text;
  }

  TokenStream stream(bool skip_special) const { return tokenizer_.stream(skip_special); }
  std::size_t size() const { return tokenizer_.size(); }

 private:
  py::bytes blob_;
  Tokenizer tokenizer_;
};

std::string push(TokenStream& stream, std::int32_t id) {
  std::string text;
  stream.push(id, &text);
  return text;
}

std::string finish(TokenStream& stream) {
  std::string text;
  stream.finish(&text);
  return text;
}

}  // namespace

void bind_tokenizer(py::module_& module) {
  using py::arg;
  py::class_<TokenStream>(module, "TokenStream")
      .def("push", &push, arg("id"))
      .def("finish", &finish);
  py::class_<PyTokenizer>(module, "Tokenizer")
      .def(py::init<py::bytes>(), arg("blob"))
      .def("encode", &PyTokenizer::encode, arg("text"), arg("add_special") = true)
      .def("decode", &PyTokenizer::decode, arg("ids"), arg("skip_special") = true)
      .def("stream", &PyTokenizer::stream, arg("skip_special") = true, py::keep_alive<0, 1>())
      .def("apply_chat", &PyTokenizer::apply_chat, arg("messages"), arg("generate") = true)
      .def_property_readonly("vocabulary", &PyTokenizer::size);
}

}  // namespace lamella
