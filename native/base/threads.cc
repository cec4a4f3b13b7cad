#include "base/threads.h"

#include <algorithm>
#include <chrono>
#include <system_error>

#if defined(__linux__)
#include <sched.h>
#endif

namespace lamella {
namespace {

// Longer than the gap between two layers of a model, shorter than what an idle user notices.
constexpr std::chrono::microseconds kSpinTime(100);

// The round that ends the workers.
constexpr std::uint64_t kStop = ~std::uint64_t{0};

void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Spins until `done()` or until kSpinTime has passed; returns whether it is done.
template <typename Done>
bool spin(const Done& done) {
  const auto deadline = std::chrono::steady_clock::now() + kSpinTime;
  do {
    for (int i = 0; i < 32; ++i) {
      if (done()) return true;
      relax();
    }
  } while (std::chrono::steady_clock::now() < deadline);
  return done();
}

}  // namespace

std::size_t usable_processors() {
#if defined(__linux__)
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) return static_cast<std::size_t>(CPU_COUNT(&set));
#endif
  const unsigned count = std::thread::hardware_concurrency();
  return count == 0 ? 1 : count;
}

ThreadPool::ThreadPool(std::size_t threads, std::size_t processors) : claims_(threads) {
  // A worker reads `workers_` and `claims_` only after the first round has started.
  const std::size_t workers = std::min(threads, processors) - 1;
  try {
    workers_.reserve(workers);
    while (workers_.size() < workers) {
      workers_.emplace_back(&ThreadPool::work, this, workers_.size() + 1);
    }
  } catch (const std::system_error&) {
    // The system has no more threads: the results are the same with fewer.
  }
}

ThreadPool::~ThreadPool() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    round_.store(kStop, std::memory_order_release);
  }
  started_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::run_loop(const Loop& loop) {
  if (workers_.empty() || loop.count <= 1) {
    if (loop.count != 0) loop.call(loop.body, {0, loop.count});
    return;
  }
  const std::lock_guard<std::mutex> turn(turn_);
  loop_ = loop;
  left_.store(threads(), std::memory_order_relaxed);
  std::uint64_t round = 0;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    round = round_.fetch_add(1, std::memory_order_release) + 1;
  }
  started_.notify_all();
  run_parts(0, round);
  const auto done = [this] { return left_.load(std::memory_order_acquire) == 0; };
  if (spin(done)) return;
  std::unique_lock<std::mutex> lock(mutex_);
  finished_.wait(lock, done);
}

// Every part is taken once in every round. So a thread that comes too late for its round takes
// none, and `loop_` stays as it is while somebody has a part.
void ThreadPool::run_parts(std::size_t first, std::uint64_t round) {
  const std::size_t parts = threads();
  for (std::size_t i = 0; i < parts; ++i) {
    const std::size_t part = first + i < parts ? first + i : first + i - parts;
    std::uint64_t before = round - 1;
    if (!claims_[part].round.compare_exchange_strong(before, round, std::memory_order_relaxed)) {
      continue;
    }
    const Slice slice = slice_of(loop_.count, parts, part);
    if (slice.begin < slice.end) loop_.call(loop_.body, slice);
    if (left_.fetch_sub(1, std::memory_order_acq_rel) == 1 && first != 0) {
      const std::lock_guard<std::mutex> lock(mutex_);
      finished_.notify_one();
    }
  }
}

void ThreadPool::work(std::size_t index) {
  std::uint64_t seen = 0;
  const auto begun = [this, &seen] { return round_.load(std::memory_order_acquire) != seen; };
  while (true) {
    if (!spin(begun)) {
      std::unique_lock<std::mutex> lock(mutex_);
      started_.wait(lock, begun);
    }
    seen = round_.load(std::memory_order_acquire);
    if (seen == kStop) return;
    run_parts(index, seen);
  }
}

}  // namespace lamella
