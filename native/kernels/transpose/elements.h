// A fragment: what transposes one element at a time.

// Elements of a slice of lines, where lines are neighbours in the input.
template <std::size_t kBytes>
void turn_elements(const TransposePlan& plan, const std::uint8_t* from, std::uint8_t* to,
                   Slice lines, Slice elements) {
  for (std::size_t line = lines.begin; line < lines.end; ++line) {
    const std::uint8_t* x = from + line * kBytes;
    std::uint8_t* y = to + line * plan.line.to * kBytes;
    for (std::size_t i = elements.begin; i < elements.end; ++i) {
      std::memcpy(y + i * kBytes, x + i * plan.run.from * kBytes, kBytes);
    }
  }
}
