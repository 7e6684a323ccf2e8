// One word by which the thread of a connection offers the statement that it runs to another thread,
// which may interrupt it: so that the interrupt never comes after the statement has ended.
//
// The protocol: the owner offers statement n, and withdraws it when the statement returns, or when
// anything else begins on the connection. The other thread replaces "n is offered" by "n is being
// interrupted" in one step, interrupts, and then says that it has. An owner that finds "is being
// interrupted" waits until that is over, which takes a few instructions.
// Release and acquire: the interrupt is seen by the owner once Withdraw() has returned, and what
// the owner wrote before Offer() is seen by a thread that has the number. The exchange that takes
// the statement is release, too: what its thread read before, it read before the owner went on. So
// where InterruptIfOffered(n) is true, nothing was read that the owner wrote after statement n. The
// exchange that fails may be relaxed, since nothing follows from it.
// Thread rules: Offer() and Withdraw() in the thread that uses the connection, the rest in any.
#pragma once

#include <atomic>
#include <cstdint>

namespace walmanager {

class OfferedStatement {
 public:
  // A new statement is offered. None is offered before.
  void Offer() { word_.store(++last_ << kStateBits | kIsOffered, std::memory_order_release); }
  // From here on no interrupt comes, until Offer(). True where one came since Offer().
  bool Withdraw() {
    std::uint64_t word = last_ << kStateBits | kIsOffered;
    if (word_.compare_exchange_strong(word, kNothing, std::memory_order_acq_rel,
                                      std::memory_order_acquire) ||
        word == kNothing) {
      return false;
    }
    for (; StateOf(word) == kIsInterrupted; word = word_.load(std::memory_order_acquire)) {
      word_.wait(word, std::memory_order_acquire);
    }
    word_.store(kNothing, std::memory_order_release);
    return true;
  }
  // The number of the statement that is offered; 0: none is.
  std::uint64_t number() const {
    const std::uint64_t word = word_.load(std::memory_order_acquire);
    return StateOf(word) == kIsOffered ? word >> kStateBits : 0;
  }
  // Calls `interrupt` where statement `number` is still offered. False where it is not. One thread
  // at a time.
  template <typename Interrupt>
  bool InterruptIfOffered(std::uint64_t number, const Interrupt& interrupt) {
    std::uint64_t word = number << kStateBits | kIsOffered;
    if (!word_.compare_exchange_strong(word, number << kStateBits | kIsInterrupted,
                                       std::memory_order_acq_rel, std::memory_order_relaxed)) {
      return false;
    }
    interrupt();
    word_.store(number << kStateBits | kWasInterrupted, std::memory_order_release);
    word_.notify_all();
    return true;
  }

 private:
  static constexpr int kStateBits = 2;
  static constexpr std::uint64_t kNothing = 0, kIsOffered = 1, kIsInterrupted = 2,
                                 kWasInterrupted = 3;
  static std::uint64_t StateOf(std::uint64_t word) { return word & 3; }

  std::atomic<std::uint64_t> word_{kNothing};
  std::uint64_t last_ = 0;  // the owner's
};

}  // namespace walmanager
