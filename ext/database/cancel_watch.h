// Interrupts statements of this process for which wal_cancel() was called, in any process, and
// tells in wal_alerts what has become of each.
//
// Thread rules: one thread at a time. The process must not fork meanwhile.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "ext/core/control/cancel_requests.h"
#include "ext/core/control/connection_entry.h"
#include "ext/engine/cancellable.h"

namespace walmanager {

class ControlFile;
class Database;

class CancelWatch {
 public:
  static constexpr std::uint64_t kNever = ~std::uint64_t{0};

  explicit CancelWatch(Database& database) : database_(database) {}
  CancelWatch(const CancelWatch&) = delete;
  CancelWatch& operator=(const CancelWatch&) = delete;

  // One load where nothing is asked. Returns when it wants to look next, in MonotonicNs; kNever
  // where that is all the same.
  std::uint64_t Look(std::uint64_t now_ns);

 private:
  // A statement that was interrupted, and has not been told of.
  struct Interrupted {
    std::shared_ptr<Cancellable> connection;
    ConnectionEntry entry;  // as it was
    CancelWish wish;
    std::uint64_t at_ns = 0;
  };
  CancelAnswer Serve(ControlFile& control, const CancelWish& wish, std::uint64_t now_ns);
  void Tell(ControlFile& control, const Interrupted& interrupted);

  Database& database_;
  std::uint64_t asked_ = 0;  // CancelRequests::asked() when it last looked
  const void* asked_of_ = nullptr;
  std::vector<Interrupted> interrupted_;
};

}  // namespace walmanager
