// Strict JSON (RFC 8259) within the limits of FORMAT.md, section 5. A stranger may have written it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/span.h"
#include "base/status.h"

namespace lamella::file {

inline constexpr std::size_t kMostJsonBytes = std::size_t{1} << 22;
inline constexpr int kMostJsonDepth = 32;

// kAbsent: what an object does not hold.
enum class JsonKind : std::uint8_t {
  kAbsent,
  kNull,
  kBool,
  kInteger,
  kReal,
  kText,
  kList,
  kObject
};

class JsonValue;

class JsonDocument {
 public:
  // Fails where the text breaks a rule of FORMAT.md.
  static Status parse(Span<std::uint8_t> text, JsonDocument* document);

  // Values are views of the document, which must neither move nor end before them.
  JsonValue root() const;

 private:
  friend class JsonParser;
  friend class JsonValue;

  struct Text {
    std::uint32_t begin, size;
  };
  // A value; its children follow it, each behind all of the one before.
  struct Node {
    JsonKind kind;
    std::uint32_t end;       // the node behind the value and its children
    std::uint32_t children;  // of a list or an object
    Text key;                // in an object
    union {
      bool truth;
      std::int64_t integer;
      double real;
      Text text;
    };
  };

  std::string_view view(Text text) const {
    return std::string_view(letters_).substr(text.begin, text.size);
  }

  std::vector<Node> nodes_;
  std::string letters_;  // of every text, without escapes
};

class JsonValue {
 public:
  JsonValue() = default;

  JsonKind kind() const { return document_ == nullptr ? JsonKind::kAbsent : node().kind; }
  bool is(JsonKind kind) const { return this->kind() == kind; }

  // Each of these may be asked of the kind it names only; number() of an integer, too.
  bool truth() const { return node().truth; }
  std::int64_t integer() const { return node().integer; }
  double number() const;
  std::string_view text() const { return document_->view(node().text); }

  // The key of a value in an object.
  std::string_view key() const { return document_->view(node().key); }
  // How many values a list or an object holds.
  std::size_t size() const { return node().children; }
  // The value of an object's key; absent where there is none, or for anything but an object.
  JsonValue find(std::string_view key) const;

  // Walks the values of a list or an object; over those of anything else, of which there are none.
  class Iterator {
   public:
    Iterator(const JsonDocument* document, std::size_t index, std::size_t left)
        : document_(document), index_(index), left_(left) {}
    JsonValue operator*() const { return JsonValue(document_, index_); }
    Iterator& operator++();
    bool operator!=(const Iterator& other) const { return left_ != other.left_; }

   private:
    const JsonDocument* document_;
    std::size_t index_;
    std::size_t left_;
  };
  Iterator begin() const;
  Iterator end() const { return Iterator(document_, 0, 0); }

 private:
  friend class JsonDocument;

  JsonValue(const JsonDocument* document, std::size_t index) : document_(document), index_(index) {}
  const JsonDocument::Node& node() const { return document_->nodes_[index_]; }

  const JsonDocument* document_ = nullptr;
  std::size_t index_ = 0;
};

// What FORMAT.md calls a text, a count and a number.
bool is_text(JsonValue value);
bool is_count(JsonValue value);
bool is_number(JsonValue value);

// Whether the value is a list of at most `most` values, and whether it is one of counts.
bool is_list(JsonValue value, std::size_t most);
bool is_list_of_counts(JsonValue value, std::size_t most);

// The value for a sentence, cut where it is long.
std::string shown(JsonValue value);

}  // namespace lamella::file
