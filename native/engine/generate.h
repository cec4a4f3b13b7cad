// Text from the program of a decoder: appends tokens to its caches and chooses the next ones.
//
// The program has the inputs ids, positions, places, key_positions and rows and the output logits;
// targets/native/decoder says what they are. Position p of a text lies at place p mod capacity.
// Where every layer sees only a window, which the caches hold, a text may go on beyond their
// capacity: the oldest tokens are written over.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "base/span.h"
#include "base/status.h"
#include "engine/session.h"
#include "kernels/sample/sample.h"

namespace lamella {

struct GenerateOptions {
  std::size_t most = 64;                // tokens to give
  Sampling sampling = {0, 0, 1, 0, 0};  // its step is set to the length of the text
  std::vector<std::int32_t> stops;      // tokens that end the text and are not given
};

enum class Ending { kMost, kStop, kCaller, kFull };

// Takes the tokens of a text as they are chosen.
class TokenSink {
 public:
  virtual ~TokenSink() = default;
  // Returns whether to go on.
  virtual bool token(std::int32_t id) = 0;
};

class Generator {
 public:
  // Fails, with a sentence, for a program that is no decoder.
  static Status open(std::unique_ptr<Session> session, std::unique_ptr<Generator>* generator);

  // Appends tokens and computes the logits of the last `rows`, at most most_rows() and `ids`.
  // A failure, but for a text that is too long, empties the text.
  Status append(Span<std::int32_t> ids, std::size_t rows = 1);

  // Chooses the token after the text, which needs one, and appends it. Its logits are computed by
  // the next call.
  Status next(const Sampling& sampling, std::int32_t* id);

  // Appends a prompt, which may be empty if the text is not, and then tokens until one of the
  // endings. The last token given is part of the text.
  Status generate(Span<std::int32_t> prompt, const GenerateOptions& options, TokenSink* sink,
                  Ending* ending);

  // Empties the text.
  void reset();

  // Logits of the i-th of the rows that the last append() or next() computed: (vocabulary()).
  const float* logits(std::size_t i = 0) const;

  std::size_t length() const { return length_ + pending_.size(); }
  std::size_t most_length() const { return most_length_; }
  std::size_t most_rows() const { return most_rows_; }
  std::size_t vocabulary() const { return vocabulary_; }
  const Session& session() const { return *session_; }

 private:
  explicit Generator(std::unique_ptr<Session> session) : session_(std::move(session)) {}

  Status prepare();
  Status find_symbols();
  void find_limits();
  Status compute(std::size_t rows);
  Status run_block(const std::int32_t* ids, std::size_t count, std::size_t rows);

  std::unique_ptr<Session> session_;
  const SampleCalls* sample_ = nullptr;
  std::size_t capacity_ = 0;
  std::size_t block_ = 0;  // tokens of a run
  std::size_t most_rows_ = 0;
  std::size_t most_length_ = 0;
  std::size_t vocabulary_ = 0;
  std::size_t length_ = 0;             // tokens in the caches
  std::vector<std::int32_t> pending_;  // tokens of the text behind them
  std::vector<std::int32_t> ids_, positions_, places_, key_positions_, rows_;
  std::vector<Tensor> inputs_;
  std::vector<float> powers_;
  std::vector<std::uint64_t> keys_;
};

}  // namespace lamella
