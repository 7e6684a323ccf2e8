// Whether this process looks at a database at regular intervals: as long as something happens
// there, and for two looks more. Then it sleeps, which costs nothing, until a statement wakes it.
//
// A statement shows itself in the control file first and reads the state then, both without a
// fence, so a look may miss it by the time that a store takes to be seen by other processors. That
// is why there is a look between the one that finds nothing and the sleep: each statement that has
// not seen the state of the first look is seen by the second, an interval later.
// So the load in is_drowsy() is relaxed.
// Thread rules: LooksAgain() by one thread at a time, the others any thread.
#pragma once

#include <atomic>
#include <cstdint>

namespace walmanager {

class Wakefulness {
 public:
  // False: Wake() would change nothing. One load.
  bool is_drowsy() const { return state_.load(std::memory_order_relaxed) != State::kAwake; }
  // Something happens. True where nothing looks: the caller has the looks begin. Else there is one
  // to come.
  bool Wake() { return state_.exchange(State::kAwake) == State::kAsleep; }
  // The looks could not begin.
  void StayAsleep() { state_ = State::kAsleep; }
  // After a look. `active`: something goes on, or has happened since the look before. False: the
  // last look for now.
  bool LooksAgain(bool active) {
    if (active) {
      state_ = State::kAwake;
      return true;
    }
    State drowsy = State::kDrowsy;
    if (state_.compare_exchange_strong(drowsy, State::kAsleep)) return false;
    state_ = State::kDrowsy;
    return true;
  }

 private:
  enum class State : std::uint8_t { kAwake, kDrowsy, kAsleep };
  std::atomic<State> state_{State::kAsleep};
};

}  // namespace walmanager
