// Ends queries of this process that have held their snapshot for longer than the setting
// reader_lease_ms allows, while the log is beyond its limit. So the log stays bounded as long as
// the reader that pins it runs a query. What cannot be ended is named in wal_alerts, once.
//
// Thread rules: one thread at a time. The process must not fork meanwhile.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "ext/core/control/connection_entry.h"
#include "ext/engine/interruptible.h"

namespace walmanager {

class ControlFile;
class Database;

class ReaderLeaseWatch {
 public:
  static constexpr std::uint64_t kNever = ~std::uint64_t{0};

  explicit ReaderLeaseWatch(Database& database) : database_(database) {}
  ReaderLeaseWatch(const ReaderLeaseWatch&) = delete;
  ReaderLeaseWatch& operator=(const ReaderLeaseWatch&) = delete;

  // Returns when it wants to look next, in MonotonicNs; kNever where the setting is off.
  std::uint64_t Look(std::uint64_t now_ns);

 private:
  // A snapshot that cannot be ended.
  struct Held {
    std::uint64_t since_ns = 0;
    std::uint64_t log_position = 0;  // when it was first seen
    bool is_told = false;
  };
  void FollowSettings(ControlFile& control);
  std::vector<std::shared_ptr<Interruptible>> FindConnections() const;
  // The connection has no query that can be ended.
  void LookAtHeld(ControlFile& control, const Interruptible& connection,
                  const ConnectionEntry& entry, std::uint64_t now_ns);
  void TellEnded(ControlFile& control, const ConnectionEntry* entry, std::uint64_t connection,
                 const LeasedQuery& query, std::uint64_t now_ns);
  std::string Limits() const;

  Database& database_;
  std::uint64_t settings_generation_ = ~std::uint64_t{0};
  const void* settings_of_ = nullptr;
  std::uint64_t lease_ns_ = 0;  // 0: off
  std::int64_t limit_bytes_ = 0;
  std::map<std::uint64_t, Held> held_;  // by connection
};

}  // namespace walmanager
