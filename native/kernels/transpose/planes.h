// A fragment: the loop over the planes of a transpose. Included after
//   turn<kBytes>(plan, from, to, lines, count)  writes `count` elements of so many lines, where the
//                                               lines are neighbours in the input

// Elements of a line that are turned at a time, so that what is read of a line stays in the cache.
constexpr std::size_t kTurned = 64;

// The lines of a plane from `from` on.
template <std::size_t kBytes>
void run_lines(const TransposePlan& plan, const std::uint8_t* from, std::uint8_t* to,
               std::size_t lines) {
  if (plan.run.from == 1) {
    for (std::size_t line = 0; line < lines; ++line) {
      std::memcpy(to + line * plan.line.to * kBytes, from + line * plan.line.from * kBytes,
                  plan.run.size * kBytes);
    }
    return;
  }
  for (std::size_t i = 0; i < plan.run.size; i += kTurned) {
    turn<kBytes>(plan, from + i * plan.run.from * kBytes, to + i * kBytes, lines,
                 std::min(plan.run.size - i, kTurned));
  }
}

template <std::size_t kBytes>
void run_units(const TransposeCall& call, Slice units) {
  const TransposePlan& plan = call.plan;
  const std::size_t blocks = plan.blocks();
  for (std::size_t unit = units.begin; unit < units.end; ++unit) {
    const std::size_t first = unit % blocks * kTransposeLines;
    std::size_t from = first * plan.line.from, to = first * plan.line.to;
    for (std::size_t i = plan.outer, left = unit / blocks; i-- > 0; left /= plan.axes[i].size) {
      from += left % plan.axes[i].size * plan.axes[i].from;
      to += left % plan.axes[i].size * plan.axes[i].to;
    }
    run_lines<kBytes>(plan, call.x + from * kBytes, call.y + to * kBytes,
                      std::min(plan.line.size - first, kTransposeLines));
  }
}

inline void run(const TransposeCall& call, Slice units) {
  if (call.plan.bytes == 1) return run_units<1>(call, units);
  if (call.plan.bytes == 2) return run_units<2>(call, units);
  run_units<4>(call, units);
}
