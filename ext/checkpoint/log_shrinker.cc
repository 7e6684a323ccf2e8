#include "ext/checkpoint/log_shrinker.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "ext/core/base/time_units.h"
#include "ext/core/control/shared_words.h"
#include "ext/system/clock.h"
#include "ext/system/open_files.h"

namespace walmanager {
namespace {

constexpr std::int64_t kStepBytes = 1024 * 1024;
constexpr std::uint64_t kSpacing = 50;  // times what a step took
constexpr std::uint64_t kLongestRetryNs = 60'000 * kMs;
// The longest that a statement waits for one step.
constexpr std::uint64_t kCutNs = 250 * kMs;

std::int64_t LogBytes(const WalIndex& index) {
  return std::int64_t{index.max_frame} * (index.page_size + kFrameHeaderBytes) + kLogHeaderBytes;
}

// Whether each connection of the application publishes its statements, and is in no statement and
// in no transaction. Nothing is known of a connection with a displaced trace or none, nor of one
// that the control file does not show. Connections of other roles write only within a
// statement of the application.
bool IsQuiet(const ControlFile& current, const std::vector<ConnectionEntry>& connections) {
  return !current.slabs().hides_some_here() &&
         std::all_of(connections.begin(), connections.end(), [](const ConnectionEntry& entry) {
           return entry.role != ConnectionRole::kApplication ||
                  (entry.trace == TraceState::kActive && entry.started_ns == 0 &&
                   entry.transaction == TransactionState::kNone);
         });
}

}  // namespace

std::optional<std::int64_t> LogShrinker::ShrinkInCommit(const WalIndex& index, std::int64_t limit) {
  constexpr std::uint64_t kMostNs = 2 * kMs;
  const std::uint64_t start = MonotonicNs();
  std::optional<std::int64_t> bytes;
  if (LogBytes(index) < limit / 2) {
    bytes = cutter_.Cut(limit, kStepBytes, start + kMostNs);
  }
  not_before_ns_ = MonotonicNs() + kSpacing * (MonotonicNs() - start);
  return bytes;
}

bool LogShrinker::IsDueWhileIdle(ControlFile& current, bool in_use, std::uint64_t now_ns) {
  if (in_use) {
    next_look_ns_ = 0;
    look_again_ns_ = kRetryNs;
  }
  if (now_ns < next_idle_step_ns()) return false;
  not_before_ns_ = now_ns + kRetryNs;
  const bool is_due = IsQuiet(current, current.Connections()) && !readers_.OthersHaveItOpen() &&
                      !copied_frames_.owes_sync();
  if (is_due) {
    look_again_ns_ = kRetryNs;
  } else if (!in_use) {
    next_look_ns_ = now_ns + look_again_ns_;
    look_again_ns_ = std::min(2 * look_again_ns_, kLongestRetryNs);
  }
  return is_due;
}

bool LogShrinker::IsAlone(ControlFile& current, std::vector<OwnedDb>& spares) {
  const std::vector<ConnectionEntry> connections = current.Connections();
  return IsQuiet(current, connections) && EachIsManaged(connections, spares) &&
         !readers_.OthersHaveItOpen();
}

bool LogShrinker::EachIsManaged(const std::vector<ConnectionEntry>& connections,
                                std::vector<OwnedDb>& spares) {
  // Each vain try leaves one more descriptor that SQLite keeps, so there is a limit.
  constexpr int kMostSpares = 4;
  struct stat file {};
  if (stat(path_.c_str(), &file) != 0) return false;
  std::size_t expected = spares.size();
  for (const ConnectionEntry& entry : connections) {
    // Two connections of the checkpointer share an entry.
    expected += entry.role == ConnectionRole::kCheckpointer ? 2 : 1;
  }
  // SQLite opens the database file once for each connection, and keeps the descriptors of closed
  // connections for later ones. So a spare connection takes a kept descriptor, or opens one more
  // where all others belong to unmanaged connections. Where there are fewer descriptors than
  // expected, connections share a cache, and some of these may be unmanaged.
  const auto open = CountDescriptors(file);
  int more = open ? *open - static_cast<int>(expected) : -1;
  while (more > 0 && more + static_cast<int>(spares.size()) <= kMostSpares) {
    auto spare = connections_.OpenAnother();
    if (!spare.ok()) break;
    spares.push_back(std::move(spare.value()));
    if (CountDescriptors(file) != open) break;
    --more;
  }
  if (more == 0) {
    unmanaged_retry_ns_ = kRetryNs;
    return true;
  }
  spares.clear();
  // Only steps of the idle side wait for that; steps in commits do not.
  idle_not_before_ns_ = MonotonicNs() + unmanaged_retry_ns_;
  unmanaged_retry_ns_ = std::min(2 * unmanaged_retry_ns_, kLongestRetryNs);
  return false;
}

LogShrinker::IdleStep LogShrinker::ShrinkWhileIdle(ControlFile& current, const WalIndex& index,
                                                   std::int64_t limit, std::int64_t wal_bytes) {
  constexpr std::uint64_t kLeastSpacingNs = 20 * kMs;
  constexpr useconds_t kSettleUs = 100;
  constexpr std::uint64_t kLookNs = 20 * kMs;  // the longest time from the looks to the step
  constexpr std::uint64_t kStepNs = 1 * kMs;   // cuts begin within this time
  IdleStep step;
  ControlRegion& region = current.region();
  // Commits of unmanaged connections are not recorded: wait until there was none for a second.
  const bool is_recorded = Get(region.header().log_position) == index.end().position();
  if (std::exchange(idle_end_, index.end()) != index.end() && !is_recorded) return step;
  std::vector<OwnedDb> spares;
  if (!IsAlone(current, spares)) return step;
  const bool must_start_over = LogBytes(index) >= limit;
  if ((must_start_over && !index.complete()) || !current.TryLease()) return step;
  layout::Counter& cut_until_ns = region.header().cut_until_ns;
  const auto end = [&](layout::Counter* word) {
    Put(*word, 0);
    current.EndLease();
  };
  std::unique_ptr<layout::Counter, decltype(end)> cutting(&cut_until_ns, end);
  // A statement publishes itself first and looks at this word then. The pause is far longer than a
  // store takes to reach other processors. So after it, this thread sees each statement that has
  // not seen the word.
  const std::uint64_t start = MonotonicNs();
  Put(cut_until_ns, start + kCutNs);
  usleep(kSettleUs);
  if (!IsAlone(current, spares)) return step;
  const std::uint64_t began = MonotonicNs();
  // Where this thread did not run for a while, what it saw may no longer be so.
  if (began > start + kLookNs) return step;
  step.taken = true;
  const bool done = must_start_over ? StartOver(region, step)
                                    : cutter_.Cut(limit, kStepBytes, began + kStepNs) < wal_bytes;
  const std::uint64_t ended = MonotonicNs();
  cutting.reset();  // so that no statement waits for the sync
  if (done && must_start_over) cutter_.SyncNewHeader();
  if (done) not_before_ns_ = ended + std::max(kSpacing * (ended - began), kLeastSpacingNs);
  return step;
}

bool LogShrinker::StartOver(ControlRegion& region, IdleStep& step) {
  if (!cutter_.StartLogOver()) return false;
  // What commits have recorded is about the old log.
  step.log = connections_.Look();
  if (!step.log) return true;
  bool reset = false;
  (void)region.AdvanceLog(step.log->salt1, step.log->max_frame, &reset);
  if (reset) region.CountLogReset();
  step.log_position = Get(region.header().log_position);
  idle_end_ = step.log->end();
  return true;
}

void LogShrinker::WaitUntilCut(layout::Counter& until_ns) {
  constexpr useconds_t kPollUs = 50;
  for (;;) {
    std::uint64_t until = until_ns.load(std::memory_order_relaxed);  // as in the header
    if (until == 0) return;
    // The process that cut was killed, or the word is corrupt. Clear the word, unless another
    // process has begun to cut since.
    if (until - MonotonicNs() > kCutNs) {
      until_ns.compare_exchange_strong(until, 0, std::memory_order_relaxed);
      return;
    }
    usleep(kPollUs);
  }
}

}  // namespace walmanager
