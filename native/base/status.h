// Status: success, or one sentence for the user. Nothing below the binding throws.
#pragma once

#include <string>
#include <utility>

namespace lamella {

class Status {
 public:
  static Status success() { return Status(std::string()); }
  // `sentence` says what was wrong, the offending value, and what to do; it is not empty.
  static Status failure(std::string sentence) { return Status(std::move(sentence)); }

  bool ok() const { return sentence_.empty(); }
  const std::string& sentence() const { return sentence_; }

 private:
  explicit Status(std::string sentence) : sentence_(std::move(sentence)) {}

  std::string sentence_;
};

}  // namespace lamella
