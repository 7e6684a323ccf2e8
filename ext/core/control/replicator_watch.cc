#include "ext/core/control/replicator_watch.h"

#include <algorithm>
#include <utility>

#include "ext/core/control/shared_words.h"

namespace walmanager {

ReplicatorState ReadReplicatorState(const layout::ReplicatorWords& shared) {
  const std::uint64_t word = Get(shared.state);
  if (word > static_cast<std::uint64_t>(ReplicatorState::kGone)) return ReplicatorState::kUnknown;
  return static_cast<ReplicatorState>(word);
}

bool IsStale(const layout::ReplicatorWords& shared, std::uint64_t now_ns) {
  const std::uint64_t looked_ns = Get(shared.looked_ns);
  return looked_ns > now_ns || now_ns - looked_ns > ReplicatorWatch::kStaleNs;
}

bool IsReplicators(ReplicatorWish wish, ReplicatorState state) {
  switch (wish) {
    case ReplicatorWish::kAlways:
      return true;
    case ReplicatorWish::kNever:
      return false;
    default:
      return state != ReplicatorState::kGone;
  }
}

bool ReplicatorWatch::ShowsAReader(const ReplicatorLook& look) const {
  return std::any_of(look.readers.begin(), look.readers.end(), [&](const UnknownReader& reader) {
    return !reader.pid || !readers_before_ ||
           std::find(readers_before_->begin(), readers_before_->end(), reader) !=
               readers_before_->end();
  });
}

bool ReplicatorWatch::IsAwayBeyondLimit(const ReplicatorLook& look, std::uint64_t now_ns) {
  if (!look.away_beyond_limit) {
    away_since_ns_.reset();
    return false;
  }
  if (!away_since_ns_) away_since_ns_ = now_ns;
  return now_ns - *away_since_ns_ >= kAwayNs;
}

ReplicatorWatch::Outcome ReplicatorWatch::Look(layout::ReplicatorWords& shared, ReplicatorWish wish,
                                               const ReplicatorLook& look, std::uint64_t now_ns) {
  const ReplicatorState before = ReadReplicatorState(shared);
  const bool was_there = before == ReplicatorState::kThere || before == ReplicatorState::kGone;
  if (!look.table) {
    readers_before_.reset();
    away_since_ns_.reset();
    Put(shared.state, static_cast<std::uint64_t>(ReplicatorState::kNone));
    return {ReplicatorState::kNone, false};
  }
  // Times in the future are of another boot, or the value is corrupt: the wait begins now.
  const bool times_are_void = Get(shared.sign_ns) > now_ns || Get(shared.looked_ns) > now_ns;
  const bool sign = !was_there || wish == ReplicatorWish::kAlways || times_are_void ||
                    Get(shared.content) != look.content || ShowsAReader(look);
  readers_before_ = look.readers;
  const bool away = IsAwayBeyondLimit(look, now_ns);
  Put(shared.content, look.content);
  if (sign) {
    Put(shared.sign_ns, now_ns);
    Put(shared.looked_ns, now_ns);
    Put(shared.looks, 0);
  } else if (now_ns - Get(shared.looked_ns) >= kApartNs) {
    Put(shared.looked_ns, now_ns);
    Add(shared.looks, 1);
  }
  ReplicatorState state = before;
  if (sign) {
    state = ReplicatorState::kThere;
  } else if ((away || now_ns - Get(shared.sign_ns) >= kWaitNs) &&
             Get(shared.looks) >= kLeastLooks) {
    state = ReplicatorState::kGone;
  }
  // One of two processes that look at once sees the change. Relaxed: the state stands for itself.
  const std::uint64_t old =
      shared.state.exchange(static_cast<std::uint64_t>(state), std::memory_order_relaxed);
  return {state, was_there && old != static_cast<std::uint64_t>(state)};
}

}  // namespace walmanager
