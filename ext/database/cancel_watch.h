// Interrupts statements of this process for which wal_cancel() was called, in any process, and
// tells of it in wal_alerts at once, since many a program ends with that. What has become of the
// statement is added when it is known.
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
  // A statement that was interrupted, and has an alert. What has become of it is added to that.
  struct Interrupted {
    std::shared_ptr<Cancellable> connection;
    ConnectionEntry entry;  // as it was
    CancelWish wish;
    std::uint64_t at_ns = 0;
    std::weak_ptr<ControlFile> alert_of;  // the control file that has its alert
    std::uint64_t alert = 0;
  };
  CancelAnswer Serve(const std::shared_ptr<ControlFile>& control, const CancelWish& wish,
                     std::uint64_t now_ns);
  // What its process publishes of it now.
  static std::string Describe(ControlFile& control, const Interrupted& interrupted);

  Database& database_;
  std::uint64_t asked_ = 0;  // CancelRequests::asked() when it last looked
  std::weak_ptr<ControlFile> asked_of_;
  std::vector<Interrupted> interrupted_;
};

}  // namespace walmanager
