#include "engine/file/json.h"

#include <cstdio>

#include "engine/file/sentence.h"

namespace lamella::file {
namespace {

constexpr std::size_t kMostLetters = 256;
constexpr std::size_t kMostShown = 80;

void show(JsonValue value, std::string* text) {
  char number[32];
  switch (value.kind()) {
    case JsonKind::kAbsent:
      *text += "nothing";
      return;
    case JsonKind::kNull:
      *text += "null";
      return;
    case JsonKind::kBool:
      *text += value.truth() ? "true" : "false";
      return;
    case JsonKind::kInteger:
      *text += std::to_string(value.integer());
      return;
    case JsonKind::kReal:
      std::snprintf(number, sizeof number, "%g", value.number());
      *text += number;
      return;
    case JsonKind::kText:
      *text += quoted(value.text());
      return;
    case JsonKind::kObject:
      *text += "{...}";
      return;
    case JsonKind::kList:
      break;
  }
  *text += '[';
  const char* comma = "";
  for (const JsonValue item : value) {
    if (text->size() > kMostShown) break;
    *text += comma;
    show(item, text);
    comma = ", ";
  }
  *text += ']';
}

}  // namespace

JsonValue JsonDocument::root() const { return JsonValue(this, 0); }

double JsonValue::number() const {
  return is(JsonKind::kInteger) ? static_cast<double>(node().integer) : node().real;
}

JsonValue JsonValue::find(std::string_view key) const {
  if (!is(JsonKind::kObject)) return {};
  for (const JsonValue item : *this) {
    if (item.key() == key) return item;
  }
  return {};
}

JsonValue::Iterator& JsonValue::Iterator::operator++() {
  index_ = document_->nodes_[index_].end;
  --left_;
  return *this;
}

JsonValue::Iterator JsonValue::begin() const {
  return Iterator(document_, index_ + 1, document_ == nullptr ? 0 : node().children);
}

bool is_text(JsonValue value) {
  if (!value.is(JsonKind::kText)) return false;
  const std::size_t size = letters(value.text());
  return 1 <= size && size <= kMostLetters;
}

bool is_count(JsonValue value) { return value.is(JsonKind::kInteger) && value.integer() >= 0; }

bool is_number(JsonValue value) {
  return value.is(JsonKind::kInteger) || value.is(JsonKind::kReal);
}

bool is_list(JsonValue value, std::size_t most) {
  return value.is(JsonKind::kList) && value.size() <= most;
}

bool is_list_of_counts(JsonValue value, std::size_t most) {
  if (!is_list(value, most)) return false;
  for (const JsonValue item : value) {
    if (!is_count(item)) return false;
  }
  return true;
}

std::string shown(JsonValue value) {
  std::string text;
  show(value, &text);
  if (text.size() > kMostShown) text = text.substr(0, kMostShown) + "...";
  return text;
}

}  // namespace lamella::file
