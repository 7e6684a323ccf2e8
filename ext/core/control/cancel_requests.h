// Requests to interrupt the statement of a connection of another process, in the memory of a
// control file.
//
// The protocol: a caller claims a free request, or one whose caller gave up long ago, by
// compare-exchange; writes what it asks; and then stores `asked` with release. The process that is
// asked looks at `CancelRequests::asked`, and answers with release. The caller takes the answer and
// frees the request. Nothing waits for a process that was killed. Values read are not trusted: a
// request that is garbage names no connection.
// Thread rules: any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "ext/core/control/layout_cancels.h"

namespace walmanager {

enum class CancelAnswer : std::uint64_t {
  kNone,         // not answered
  kInterrupted,  // the statement was interrupted
  kNotRunning,   // that statement does not run any more
  kForbidden,    // allow_cancel is off
  kNotTraced,    // the process does not see what its connection does
  kNoConnection  // it has closed
};

struct CancelWish {
  std::uint64_t owner = 0, connection = 0, started_ns = 0;
  std::uint64_t by_pid = 0, by = 0;
};

class CancelRequests {
 public:
  // `memory` outlives it.
  explicit CancelRequests(layout::CancelRequests& memory) : memory_(memory) {}

  // --- the caller
  struct Ticket {
    std::size_t place;
    std::uint64_t number;
  };
  // nullopt: all places are taken. `number`: a random one.
  std::optional<Ticket> Ask(const CancelWish& wish, std::uint64_t number, std::uint64_t now_ns,
                            std::uint64_t deadline_ns);
  // kNone: there is none yet.
  CancelAnswer Answer(const Ticket& ticket) const;
  // Frees the place, whether it was answered or not. Returns an answer that has come meanwhile.
  CancelAnswer End(const Ticket& ticket);

  // --- the process that is asked
  // Changes with each request.
  std::uint64_t asked() const { return memory_.asked.load(std::memory_order_acquire); }
  struct Asked {
    Ticket ticket;
    CancelWish wish;
  };
  // The requests that callers have made to this owner, and that it has not answered.
  std::vector<Asked> AskedOf(std::uint64_t owner, std::uint64_t now_ns) const;
  // False where the caller has given up.
  bool SetAnswer(const Ticket& ticket, CancelAnswer answer);

 private:
  layout::CancelRequests& memory_;
};

}  // namespace walmanager
