// Which readers have held their snapshot for longer than the setting reader_lease_ms allows, and
// whether the query of such a reader can be ended. Pure: what was seen comes in as arguments.
#pragma once

#include <cstdint>
#include <optional>

#include "ext/core/control/connection_entry.h"

namespace walmanager {

// Since when a connection holds a snapshot, CLOCK_MONOTONIC; nullopt where it holds none, or has a
// write transaction, as far as it shows.
std::optional<std::uint64_t> SnapshotSince(const ConnectionEntry& entry);

// What a look remembers of a statement until the next look.
struct SeenStatement {
  std::uint64_t started_ns = 0;
  std::uint64_t rows = 0;
};

enum class ReaderVerdictOfLease : std::uint8_t {
  kWithin,    // the lease has not run out
  kQuery,     // a query that can be interrupted: it runs inside of SQLite
  kIdle,      // a transaction without a statement
  kUnfetched  // a cursor from which the program has fetched nothing since the look before
};
// `before`: the connection's statement at the look before; nullopt: there was none.
ReaderVerdictOfLease JudgeLease(const ConnectionEntry& entry,
                                const std::optional<SeenStatement>& before, std::uint64_t lease_ns,
                                std::uint64_t now_ns);

}  // namespace walmanager
