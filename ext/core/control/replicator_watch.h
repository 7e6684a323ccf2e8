// Whether a replicator such as Litestream is at work on a database. Its table in the schema only
// says that there once was one: a database that was restored from a replica, or whose replicator
// was removed, keeps the table.
//
// Signs of life are a change of the table, which a replicator writes at each of its checkpoints and
// at no other time, and the read mark that it holds to keep the log from starting over. The mark is
// free for a moment around each of its checkpoints, so one look that finds no sign proves nothing.
// A replicator counts as gone once every look for kWaitNs found no sign of it, and as there at the
// first look that finds one. While the log is beyond its limit, kAwayNs are enough, where every
// look proves that no process has the database open that could be the replicator.
//
// The state is shared by all processes through the control file: a look of any of them counts.
// Words that are stored at once by two looks err towards a replicator that is there. Time is a
// parameter: CLOCK_MONOTONIC. Thread rules: the caller serializes the looks of one object.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "ext/core/control/layout_checkpoints.h"

namespace walmanager {

// Litestream keeps its position in the log in this table (https://litestream.io/how-it-works/): it
// checkpoints the database itself, and must be the only one.
inline constexpr char kReplicatorTable[] = "_litestream_seq";

// The setting `replicator`, in the order of its choices in settings.cc.
enum class ReplicatorWish : std::uint8_t { kAuto, kAlways, kNever };

enum class ReplicatorState : std::uint8_t {
  kUnknown,  // no process has looked yet
  kNone,     // its table is not in the schema
  kThere,
  kGone,  // the table is there, and every look for kWaitNs found no sign of a replicator
};

// A held read mark that no connection with this extension accounts for.
struct UnknownReader {
  int mark = 0;
  std::uint32_t frame = 0;
  std::optional<std::int64_t> pid;  // nullopt: the system does not name its holder
  bool operator==(const UnknownReader&) const = default;
};

// What one look found.
struct ReplicatorLook {
  bool table = false;         // it is in the schema
  std::uint64_t content = 0;  // a hash of its rows
  std::vector<UnknownReader> readers;
  // The log is beyond wal_limit_bytes, and each process that has the database open is known to have
  // this extension.
  bool away_beyond_limit = false;
};

class ReplicatorWatch {
 public:
  static constexpr std::uint64_t kWaitNs = 60'000'000'000;
  // A replicator that is restarted has the database open again by then.
  static constexpr std::uint64_t kAwayNs = 3'000'000'000;
  // A process that looks seldom has looked at least so often before it calls a replicator gone.
  static constexpr std::uint64_t kLeastLooks = 3;
  static constexpr std::uint64_t kStaleNs = 10 * kWaitNs;
  static constexpr std::uint64_t kApartNs = 500'000'000;  // two looks closer together are one

  struct Outcome {
    ReplicatorState state = ReplicatorState::kUnknown;
    bool changed = false;  // by this look: from there to gone, or back
  };
  // Takes in one look at `now_ns`. Under kAlways each look counts as a sign.
  Outcome Look(layout::ReplicatorWords& shared, ReplicatorWish wish, const ReplicatorLook& look,
               std::uint64_t now_ns);

 private:
  bool ShowsAReader(const ReplicatorLook& look) const;
  // Whether every look of this process for kAwayNs said so.
  bool IsAwayBeyondLimit(const ReplicatorLook& look, std::uint64_t now_ns);

  // Of the look before of this process: a reader that is named is a replicator's only where it
  // stays on its mark from one look to the next, as a replicator's does between its checkpoints.
  std::optional<std::vector<UnknownReader>> readers_before_;
  std::optional<std::uint64_t> away_since_ns_;  // the first look without a break that said so
};

// As the last look of any process left it.
ReplicatorState ReadReplicatorState(const layout::ReplicatorWords& shared);
// Whether the state is too old to go by where no look can be taken: no process has looked for
// kStaleNs.
bool IsStale(const layout::ReplicatorWords& shared, std::uint64_t now_ns);
// Whether the checkpoints are a replicator's, where its table is in the schema.
bool IsReplicators(ReplicatorWish wish, ReplicatorState state);

}  // namespace walmanager
