#include "engine/tokenizer/tokenizer.h"

#include <new>
#include <utility>

#include "engine/tokenizer/bpe.h"

namespace lamella {

Status Tokenizer::open(Span<std::uint8_t> blob) {
  TokenizerSections sections;
  Status status = sections.open(blob);
  if (status.ok()) status = vocabulary_.open(sections);
  if (status.ok()) status = added_.open(sections, TokenizerSection::kAdded, vocabulary_);
  if (status.ok()) {
    status = added_normalized_.open(sections, TokenizerSection::kAddedNormalized, vocabulary_);
  }
  if (status.ok()) status = normalizer_.open(sections);
  if (status.ok()) status = pre_tokenizer_.open(sections);
  if (status.ok()) status = text_rules_.open(sections);
  if (status.ok()) status = chat_.open(sections);
  return status.ok() ? open_template(sections) : status;
}

Status Tokenizer::open_template(const TokenizerSections& sections) {
  const Status status = sections.words(TokenizerSection::kTemplate, 1, &template_);
  if (!status.ok() || template_.size() == 0) return status;
  const std::size_t size = template_.size();
  if (size < 2 || std::size_t{template_[0]} + template_[1] != size - 2) {
    return bad_tokenizer("a template of " + std::to_string(size) + " numbers");
  }
  for (std::size_t i = 2; i < size; ++i) {
    if (vocabulary_.is_token(template_[i])) continue;
    return bad_tokenizer("the template has the id " + std::to_string(template_[i]));
  }
  return status;
}

Status Tokenizer::encode(std::string_view text, bool add_special,
                         std::vector<std::int32_t>* ids) const {
  const std::size_t special = add_special ? template_.size() : 0;
  const std::size_t before = special == 0 ? 2 : 2 + template_[0];
  try {
    for (std::size_t i = 2; i < before; ++i)
      ids->push_back(static_cast<std::int32_t>(template_[i]));
    const Status status = encode_text(text, ids);
    if (!status.ok()) return status;
    for (std::size_t i = before; i < special; ++i) {
      ids->push_back(static_cast<std::int32_t>(template_[i]));
    }
    return status;
  } catch (const std::bad_alloc&) {
    return Status::failure("no memory is left to encode a text of " + std::to_string(text.size()) +
                           " bytes; encode it in parts");
  }
}

Status Tokenizer::encode_text(std::string_view text, std::vector<std::int32_t>* ids) const {
  Status status = check_text_size(text.size());
  if (!status.ok()) return status;
  std::string valid;
  repair_utf8(text, &valid);
  Bpe bpe(vocabulary_);
  for (const TextSegment& segment : added_.find(valid)) {
    if (segment.id != kNoToken) {
      ids->push_back(static_cast<std::int32_t>(segment.id));
      continue;
    }
    std::string part = valid.substr(segment.begin, segment.end - segment.begin);
    status = encode_segment(std::move(part), segment.begin == 0, &bpe, ids);
    if (!status.ok()) return status;
  }
  return status;
}

Status Tokenizer::encode_segment(std::string text, bool at_start, Bpe* bpe,
                                 std::vector<std::int32_t>* ids) const {
  Status status = normalizer_.run(&text);
  if (!status.ok()) return status;
  for (const TextSegment& segment : added_normalized_.find(text)) {
    if (segment.id != kNoToken) {
      ids->push_back(static_cast<std::int32_t>(segment.id));
      continue;
    }
    TextPieces pieces;
    pieces.text = text.substr(segment.begin, segment.end - segment.begin);
    pieces.at_start = at_start && segment.begin == 0;
    status = pre_tokenizer_.run(&pieces);
    if (!status.ok()) return status;
    for (const TextPiece& piece : pieces.pieces) bpe->encode(pieces.view(piece), ids);
  }
  return status;
}

void Tokenizer::decode(Span<std::int32_t> ids, bool skip_special, std::string* text) const {
  TokenStream out = stream(skip_special);
  for (const std::int32_t id : ids) out.push(id, text);
  out.finish(text);
}

TokenStream Tokenizer::stream(bool skip_special) const {
  return TokenStream(vocabulary_, text_rules_, skip_special);
}

}  // namespace lamella
