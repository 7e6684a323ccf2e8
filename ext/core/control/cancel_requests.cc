#include "ext/core/control/cancel_requests.h"

#include <algorithm>

#include "ext/core/control/shared_words.h"

namespace walmanager {
namespace {

enum Stage : std::uint64_t { kFree, kWritten, kAsked, kAnswered };
constexpr int kStageBits = 2;
constexpr std::uint64_t kStages = 3;

std::uint64_t Word(std::uint64_t number, Stage stage) { return number << kStageBits | stage; }

}  // namespace

std::optional<CancelRequests::Ticket> CancelRequests::Ask(const CancelWish& wish,
                                                          std::uint64_t number,
                                                          std::uint64_t now_ns,
                                                          std::uint64_t deadline_ns) {
  // A caller that was killed has freed nothing, and one that is slow may yet look for its answer.
  constexpr std::uint64_t kGraceNs = 10'000'000'000;
  number = number << kStageBits >> kStageBits;
  for (std::size_t place = 0; place < memory_.requests.size(); ++place) {
    layout::CancelRequest& request = memory_.requests[place];
    // Acquire: the deadline below is of the request that the state names, or of a later one.
    std::uint64_t state = request.state.load(std::memory_order_acquire);
    // A deadline far ahead is garbage, or of another boot.
    const std::uint64_t until = Get(request.deadline_ns);
    const bool is_left = now_ns > until + kGraceNs || until > now_ns + kGraceNs;
    if (state != kFree && !is_left) continue;
    // Before the place is claimed: a caller that finds it claimed must not find the old deadline,
    // and take it for one that was left. Where another caller claims it first, its request lasts as
    // long as this one would.
    Put(request.deadline_ns, deadline_ns);
    if (!request.state.compare_exchange_strong(state, Word(number, kWritten),
                                               std::memory_order_acq_rel)) {
      continue;
    }
    // Keeps the writing below after the place was claimed. Pairs with the second look in AskedOf():
    // the claim alone would let other processors see these words before it.
    std::atomic_thread_fence(std::memory_order_release);
    Put(request.owner, wish.owner);
    Put(request.connection, wish.connection);
    Put(request.started_ns, wish.started_ns);
    Put(request.by_pid, wish.by_pid);
    Put(request.by, wish.by);
    Put(request.answer, static_cast<std::uint64_t>(CancelAnswer::kNone));
    std::uint64_t written = Word(number, kWritten);
    // Release: a process that sees the state sees the words above. Where another caller took the
    // place for one that was left, that one has it.
    if (!request.state.compare_exchange_strong(written, Word(number, kAsked),
                                               std::memory_order_acq_rel)) {
      continue;
    }
    // Release: a process that sees the new count finds the request.
    memory_.asked.fetch_add(1, std::memory_order_release);
    return Ticket{place, number};
  }
  return std::nullopt;
}

CancelAnswer CancelRequests::Answer(const Ticket& ticket) const {
  const layout::CancelRequest& request = memory_.requests[ticket.place];
  // Acquire: pairs with the exchange in SetAnswer().
  if (request.state.load(std::memory_order_acquire) != Word(ticket.number, kAnswered)) {
    return CancelAnswer::kNone;
  }
  return static_cast<CancelAnswer>(
      std::min(Get(request.answer), static_cast<std::uint64_t>(CancelAnswer::kNoConnection)));
}

CancelAnswer CancelRequests::End(const Ticket& ticket) {
  layout::CancelRequest& request = memory_.requests[ticket.place];
  std::uint64_t asked = Word(ticket.number, kAsked);
  // Release: the next caller that claims the place has its words to itself. So below.
  if (request.state.compare_exchange_strong(asked, kFree, std::memory_order_acq_rel)) {
    return CancelAnswer::kNone;
  }
  const CancelAnswer answer = Answer(ticket);
  std::uint64_t answered = Word(ticket.number, kAnswered);
  request.state.compare_exchange_strong(answered, kFree, std::memory_order_acq_rel);
  return answer;
}

std::vector<CancelRequests::Asked> CancelRequests::AskedOf(std::uint64_t owner,
                                                           std::uint64_t now_ns) const {
  std::vector<Asked> found;
  for (std::size_t place = 0; place < memory_.requests.size(); ++place) {
    const layout::CancelRequest& request = memory_.requests[place];
    // Acquire: pairs with the exchange to kAsked, so the words below are of this request.
    const std::uint64_t state = request.state.load(std::memory_order_acquire);
    if ((state & kStages) != kAsked || Get(request.owner) != owner ||
        now_ns > Get(request.deadline_ns)) {
      continue;
    }
    const Asked asked{{place, state >> kStageBits},
                      {.owner = owner,
                       .connection = Get(request.connection),
                       .started_ns = Get(request.started_ns),
                       .by_pid = Get(request.by_pid),
                       .by = Get(request.by)}};
    // Keeps the reading above before the second look: another request may have taken the place
    // meanwhile.
    std::atomic_thread_fence(std::memory_order_acquire);
    if (Get(request.state) == state) found.push_back(asked);
  }
  return found;
}

bool CancelRequests::SetAnswer(const Ticket& ticket, CancelAnswer answer) {
  layout::CancelRequest& request = memory_.requests[ticket.place];
  std::uint64_t asked = Word(ticket.number, kAsked);
  if (Get(request.state) != asked) return false;
  Put(request.answer, static_cast<std::uint64_t>(answer));
  // Release: a caller that sees the state sees the answer.
  return request.state.compare_exchange_strong(asked, Word(ticket.number, kAnswered),
                                               std::memory_order_acq_rel);
}

}  // namespace walmanager
