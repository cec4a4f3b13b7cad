// Reads the text of a JsonDocument, one value at a time.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "engine/file/json.h"

namespace lamella::file {

class JsonParser {
 public:
  // `text` is valid UTF-8.
  JsonParser(std::string_view text, JsonDocument* document) : text_(text), document_(document) {}

  // Fills the document, or leaves a flaw. Returns whether all of the text is one value.
  bool parse();

  // What is wrong with the text, without a full stop.
  const std::string& flaw() const { return flaw_; }

 private:
  using Node = JsonDocument::Node;
  using Text = JsonDocument::Text;

  // Each reads what it names and steps behind it; false leaves a flaw.
  bool value(Text key, int depth);
  bool members(std::size_t index, int depth, bool keyed, char close);
  bool member(int depth, bool keyed);
  bool string(Text* letters);
  bool escape();
  bool surrogates(unsigned first);
  bool hex(unsigned* code);
  bool number(Node* node);
  bool real(std::string_view digits, Node* node);
  bool word(Node* node);

  // Whether no two children of an object have the same key.
  bool unique(std::size_t index);

  void append(unsigned code);
  void skip_spaces();
  void skip_digits();
  bool at(char letter) const { return place_ < text_.size() && text_[place_] == letter; }
  bool take(char letter);
  bool fail(std::string flaw);
  bool expected(const char* what);

  std::string_view text_;
  JsonDocument* document_;
  std::size_t place_ = 0;
  std::string flaw_;
};

}  // namespace lamella::file
