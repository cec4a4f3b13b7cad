#include "base/threads.h"

#include <chrono>
#include <system_error>

#if defined(__linux__)
#include <sched.h>
#endif

namespace lamella {
namespace {

// Longer than the gap between two layers of a model, shorter than what an idle user notices.
constexpr std::chrono::microseconds kSpinTime(100);

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

ThreadPool::ThreadPool(std::size_t threads) : spins_(threads <= usable_processors()) {
  // A worker reads `workers_` and `parts_` only after the first round has started.
  try {
    workers_.reserve(threads - 1);
    while (workers_.size() + 1 < threads) {
      workers_.emplace_back(&ThreadPool::work, this, workers_.size() + 1);
    }
  } catch (const std::system_error&) {
    // The system has no more threads: the results are the same with fewer.
  }
  parts_ = workers_.size() + 1;
}

ThreadPool::~ThreadPool() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stopped_ = true;
    round_.fetch_add(1, std::memory_order_release);
  }
  started_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::run_part(std::size_t index) const {
  const Slice slice = slice_of(loop_.count, parts_, index);
  if (slice.begin < slice.end) loop_.call(loop_.body, slice);
}

void ThreadPool::run_loop(const Loop& loop) {
  if (workers_.empty() || loop.count <= 1) {
    if (loop.count != 0) loop.call(loop.body, {0, loop.count});
    return;
  }
  const std::lock_guard<std::mutex> turn(turn_);
  loop_ = loop;
  working_.store(workers_.size(), std::memory_order_relaxed);
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    round_.fetch_add(1, std::memory_order_release);
  }
  started_.notify_all();
  run_part(0);
  const auto done = [this] { return working_.load(std::memory_order_acquire) == 0; };
  if (spins_ && spin(done)) return;
  std::unique_lock<std::mutex> lock(mutex_);
  finished_.wait(lock, done);
}

void ThreadPool::work(std::size_t index) {
  std::uint64_t seen = 0;
  const auto begun = [this, &seen] { return round_.load(std::memory_order_acquire) != seen; };
  while (true) {
    if (!spins_ || !spin(begun)) {
      std::unique_lock<std::mutex> lock(mutex_);
      started_.wait(lock, begun);
    }
    ++seen;
    if (stopped_) return;
    run_part(index);
    if (working_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
      const std::lock_guard<std::mutex> lock(mutex_);
      finished_.notify_one();
    }
  }
}

}  // namespace lamella
