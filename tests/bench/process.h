// Every segment runs in a child process of its own, so that resident memory and written bytes are
// its own, and no segment finds what another one left in the heap. The extension has a thread of
// its own, so no process that has loaded it forks: this process itself opens no database.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <type_traits>
#include <vector>

namespace walmanager::bench {

// Zeroed pages that a child process fills and this one reads. Pages that are never touched cost
// nothing, and to a child those of other segments are no resident memory.
class SharedMemory {
 public:
  explicit SharedMemory(std::size_t bytes);
  SharedMemory(SharedMemory&& other) noexcept;
  ~SharedMemory();
  void* data() const { return data_; }

 private:
  void* data_;
  std::size_t bytes_;
};

// To be made before the process that fills it.
template <typename T>
class SharedArray {
 public:
  static_assert(std::is_trivially_copyable_v<T>);
  explicit SharedArray(std::size_t size) : memory_(size * sizeof(T)), size_(size) {}
  T* begin() const { return static_cast<T*>(memory_.data()); }
  T* end() const { return begin() + size_; }
  T& operator[](std::size_t i) const { return begin()[i]; }
  std::size_t size() const { return size_; }
  // The `i`th of `parts` equal parts.
  std::span<T> Part(std::size_t i, std::size_t parts) const {
    return {begin() + size_ * i / parts, begin() + size_ * (i + 1) / parts};
  }

 private:
  SharedMemory memory_;
  std::size_t size_;
};

// Runs `work` in a child process and waits for its end. What `work` throws is thrown here, as a
// Failure; only what it wrote into shared memory is left of it.
void RunInProcess(const std::function<void()>& work);
// The same for so many processes at once, and waits for them all. `work` gets the number of its
// process, from 0 on.
void RunInProcesses(std::size_t count, const std::function<void(std::size_t process)>& work);

// A child process that works in steps, so that several processes can take turns. It is killed at
// the end and closes nothing: closing a thousand databases would take as long as measuring them.
class SteppingProcess {
 public:
  // One step, run in the child; what it measured.
  using Step = std::function<std::vector<double>(int what, std::size_t argument)>;
  // `begin` runs in the child, before its first step.
  explicit SteppingProcess(const std::function<Step()>& begin);
  ~SteppingProcess();
  SteppingProcess(const SteppingProcess&) = delete;
  SteppingProcess& operator=(const SteppingProcess&) = delete;
  // Waits for the step to end. What it throws is thrown here, as a Failure.
  std::vector<double> Run(int what, std::size_t argument = 0);

 private:
  int channel_;
  int child_;
};

// Memory of the process that asks, in bytes.
struct ProcessUse {
  // Without the shared memory above. `resident` and `peak` count a page of a mapped file once for
  // each connection that maps it; `proportional` counts it once (PSS).
  std::uint64_t resident, peak, proportional;
};
ProcessUse UseOfThisProcess();

}  // namespace walmanager::bench
