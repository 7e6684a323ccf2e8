#include "ext/checkpoint/replicator_looks.h"

#include <string>

#include "ext/core/control/alerts.h"
#include "ext/system/clock.h"

namespace walmanager {

void ReplicatorLooks::Follow(ReplicatorWish wish) {
  const auto current = control_.Get();
  const ReplicatorState state = ReadReplicatorState(current->region().engine().replicator);
  const bool has_table = state == ReplicatorState::kThere || state == ReplicatorState::kGone;
  is_there_.store(has_table && IsReplicators(wish, state), std::memory_order_relaxed);
}

bool ReplicatorLooks::Look(ReplicatorWish wish, std::uint64_t now_ns, std::uint64_t interval_ns,
                           bool asked) {
  if (wish == ReplicatorWish::kNever || !IsDue(now_ns)) return is_there();
  next_look_ns_ = now_ns + interval_ns;
  const auto table = checkpointer_.FindReplicator();
  if (!table) return is_there();
  ReplicatorLook look;
  look.table = table->exists;
  look.content = table->content;
  if (look.table && wish == ReplicatorWish::kAuto) look.readers = readers_.FindUnknown(asked);
  const auto current = control_.Get();
  ControlRegion& region = current->region();
  const auto [state, changed] = watch_.Look(region.engine().replicator, wish, look, now_ns);
  Follow(wish);
  // What was prepared for a commit to finish is the replicator's to copy now.
  if (is_there()) region.SetPrepared({});
  if (changed) {
    Alerts(current->memory())
        .RecordChange("replicator",
                      state == ReplicatorState::kGone
                          ? "a replicator's table " + std::string(kReplicatorTable) +
                                " is there, and no look for 60 s found a sign of the replicator: "
                                "walmanager checkpoints until it is there again. One that returns "
                                "makes a new snapshot"
                          : "the replicator is there: it checkpoints, walmanager only looks",
                      UnixMs());
  }
  return is_there();
}

}  // namespace walmanager
