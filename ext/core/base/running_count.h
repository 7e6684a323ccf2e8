// How many statements of a connection run, and how many of them may write, in one word, so that
// another thread reads both as of one moment.
//
// On the path of every statement: a load and a store.
// Thread rules: one thread at a time counts; any thread may ask.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace walmanager {

class RunningCount {
 public:
  void Begin(bool reads_only) { Set(Word() + One(reads_only)); }
  void End(bool reads_only) { Set(Word() - One(reads_only)); }
  void Clear() { Set(0); }
  std::size_t running() const { return Word() & kMost; }
  // One runs, and it writes nothing.
  bool IsOneThatReads() const { return Word() == 1; }

 private:
  static constexpr std::uint64_t kMost = 0xFFFF'FFFF;
  static constexpr std::uint64_t One(bool reads_only) {
    return reads_only ? 1 : (std::uint64_t{1} << 32) + 1;
  }
  std::uint64_t Word() const { return word_.load(std::memory_order_relaxed); }
  void Set(std::uint64_t word) { word_.store(word, std::memory_order_relaxed); }

  std::atomic<std::uint64_t> word_{0};
};

}  // namespace walmanager
