// Opens tokenizers from a file, encodes and decodes the texts that come with them, and writes each
// as a conversation. For a blob that is refused it writes one number, 0xFFFFFFFF.
#include "engine/tokenizer/tokenizer.h"
#include "probe_io.h"

namespace {

using lamella::probe::read;
using lamella::probe::write;

template <typename Item>
void write_sized(const std::vector<Item>& items) {
  write(std::vector<std::uint32_t>{static_cast<std::uint32_t>(items.size())});
  write(items);
}

void answer_text(const lamella::Tokenizer& tokenizer, const std::vector<char>& text) {
  std::vector<std::int32_t> ids;
  if (!tokenizer.encode({text.data(), text.size()}, true, &ids).ok()) ids.clear();
  write_sized(ids);
  for (const bool skip_special : {false, true}) {
    std::string decoded;
    tokenizer.decode({ids.data(), ids.size()}, skip_special, &decoded);
    write_sized(std::vector<char>(decoded.begin(), decoded.end()));
  }
  const lamella::ChatMessage messages[] = {{"user", {text.data(), text.size()}}};
  std::string chat;
  if (!tokenizer.apply_chat(messages, true, &chat).ok()) chat.clear();
  write_sized(std::vector<char>(chat.begin(), chat.end()));
}

void answer(std::istream& in) {
  const auto sizes = read<std::uint32_t>(in, 2);
  const auto blob = read<std::uint8_t>(in, sizes[0]);
  lamella::Tokenizer tokenizer;
  const bool opened = tokenizer.open({blob.data(), blob.size()}).ok();
  if (!opened) write(std::vector<std::uint32_t>{0xFFFFFFFF});
  for (std::uint32_t i = 0; i < sizes[1]; ++i) {
    const auto text = read<char>(in, read<std::uint32_t>(in, 1)[0]);
    if (opened) answer_text(tokenizer, text);
  }
}

}  // namespace

int main(int count, char** arguments) {
  return lamella::probe::answer_cases(count, arguments,
                                      [](lamella::IsaSet, std::istream& in) { answer(in); });
}
