// A fragment: rope, 16 pairs at a time. Included after kernels/math/value_<isa>.h.

struct Pairs {
  Value first, second;
};

inline Pairs rotated(Pairs x, Value cosine, Value sine) {
  return {fused_minus(x.second, sine, mul(x.first, cosine)),
          fused(x.first, sine, mul(x.second, cosine))};
}

inline void rotate(std::size_t half, const float* x, const float* cosine, const float* sine,
                   float* y) {
  std::size_t i = 0;
  for (; i + kLanes <= half; i += kLanes) {
    const Pairs turned =
        rotated({load(x + i), load(x + half + i)}, load(cosine + i), load(sine + i));
    store(y + i, turned.first);
    store(y + half + i, turned.second);
  }
  if (i == half) return;
  const std::size_t rest = half - i;
  const Pairs pairs{load_first(x + i, rest), load_first(x + half + i, rest)};
  const Pairs turned = rotated(pairs, load_first(cosine + i, rest), load_first(sine + i, rest));
  store_first(y + i, turned.first, rest);
  store_first(y + half + i, turned.second, rest);
}

inline void run(RopeShape shape, const float* x, RopeTables tables, float* y) {
  for (std::size_t token = 0; token < shape.tokens; ++token) {
    const std::size_t angles = static_cast<std::size_t>(tables.position[token]) * shape.half;
    for (std::size_t head = 0; head < shape.heads; ++head) {
      rotate(shape.half, x, tables.cosine + angles, tables.sine + angles, y);
      x += 2 * shape.half;
      y += 2 * shape.half;
    }
  }
}
