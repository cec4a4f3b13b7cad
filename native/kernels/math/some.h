// A fragment: up to 16 floats, which are loaded and stored faster where they are 16. Included after
// kernels/math/value_<isa>.h.

inline Value load_some(const float* from, std::size_t count) {
  return count == kLanes ? load(from) : load_first(from, count);
}

inline void store_some(float* to, Value x, std::size_t count) {
  if (count == kLanes) return store(to, x);
  store_first(to, x, count);
}
