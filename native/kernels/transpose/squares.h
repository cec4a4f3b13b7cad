// A fragment: turns squares of as many lines as elements fit a register of 16 bytes. Included after
// kernels/transpose/elements.h and these names:
//   Vector                       16 bytes; load_vector(from), store_vector(to, vector)
//   zip_low<kBytes>(a, b), zip_high<kBytes>(a, b)
//                                the elements of the lower and of the upper halves, in turn

// With the rows r and columns c of a square as bits of one number, r first, a round of zips moves
// the first bit of r behind the last of c. After as many rounds as r has bits, c is first.
template <std::size_t kBytes>
LAMELLA_INLINE void turn_square(const std::uint8_t* from, std::size_t from_step, std::uint8_t* to,
                                std::size_t to_step) {
  constexpr std::size_t kSize = 16 / kBytes;
  Vector rows[kSize];
  for (std::size_t i = 0; i < kSize; ++i) rows[i] = load_vector(from + i * from_step);
  for (std::size_t round = 1; round < kSize; round *= 2) {
    Vector zipped[kSize];
    for (std::size_t i = 0; i < kSize / 2; ++i) {
      zipped[2 * i] = zip_low<kBytes>(rows[i], rows[i + kSize / 2]);
      zipped[2 * i + 1] = zip_high<kBytes>(rows[i], rows[i + kSize / 2]);
    }
    for (std::size_t i = 0; i < kSize; ++i) rows[i] = zipped[i];
  }
  for (std::size_t i = 0; i < kSize; ++i) store_vector(to + i * to_step, rows[i]);
}

template <std::size_t kBytes>
void turn(const TransposePlan& plan, const std::uint8_t* from, std::uint8_t* to, std::size_t lines,
          std::size_t count) {
  constexpr std::size_t kSize = 16 / kBytes;
  const std::size_t from_step = plan.run.from * kBytes, to_step = plan.line.to * kBytes;
  const std::size_t whole = lines / kSize * kSize, most = count / kSize * kSize;
  for (std::size_t line = 0; line < whole; line += kSize) {
    for (std::size_t i = 0; i < most; i += kSize) {
      turn_square<kBytes>(from + i * from_step + line * kBytes, from_step,
                          to + line * to_step + i * kBytes, to_step);
    }
  }
  turn_elements<kBytes>(plan, from, to, {0, whole}, {most, count});
  turn_elements<kBytes>(plan, from, to, {whole, lines}, {0, count});
}
