// Ends queries of this process that hold their snapshot for longer than the setting reader_lease_ms
// allows, while the log is beyond its limit: so the log stays bounded as long as the reader that
// pins it runs a query. What cannot be ended is named in wal_alerts.
//
// Thread rules: one thread at a time, which looks about once a second. The process must not fork
// meanwhile.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "ext/core/control/reader_lease.h"

namespace walmanager {

class ControlFile;
class Database;

class ReaderLeaseWatch {
 public:
  explicit ReaderLeaseWatch(Database& database) : database_(database) {}
  ReaderLeaseWatch(const ReaderLeaseWatch&) = delete;
  ReaderLeaseWatch& operator=(const ReaderLeaseWatch&) = delete;

  void Look(std::uint64_t now_ns);

 private:
  struct Seen {
    SeenStatement statement;
    std::uint64_t told_ns = 0;  // the start of the snapshot, or of the statement, that was told of
    bool still_there = true;
  };
  void FollowSettings(ControlFile& control);
  // Whether this process holds a snapshot, as far as the system says.
  bool HoldsSnapshot() const;
  void LookAt(ControlFile& control, const ConnectionEntry& entry, std::uint64_t now_ns);
  // Interrupts the query; else why not.
  std::string Interrupt(ControlFile& control, const ConnectionEntry& entry);
  // Writes to wal_alerts, and where a query was ended to wal_checkpoints.
  void Tell(ControlFile& control, const ConnectionEntry& entry, std::uint64_t held_ns,
            const std::string& why_not);

  Database& database_;
  std::uint64_t settings_generation_ = ~std::uint64_t{0};
  const void* settings_of_ = nullptr;
  std::uint64_t lease_ns_ = 0;  // 0: off
  std::int64_t limit_bytes_ = 0;
  std::map<std::uint64_t, Seen> seen_;  // by connection
};

}  // namespace walmanager
