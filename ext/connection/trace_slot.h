// The one slot for a trace callback that a connection has
// (https://www.sqlite.org/c3ref/trace_v2.html), which a driver's own trace can take.
//
// In the first cache lines of ConnectionEvents, since every statement writes it.
// Thread rules: in the thread that uses the connection.
#pragma once

#include "ext/engine/sqlite.h"

namespace walmanager {

class TraceSlot {
 public:
  using Callback = int (*)(unsigned event, void* self, void* stmt, void* sql);

  // Some builds of SQLite have no trace: then commits are counted, but not timed.
  static bool exists() { return sqlite3_api->trace_v2 != nullptr; }
  // A driver may have set a profile callback, of an older interface, before the load.
  void MayHaveProfile() { may_have_profile_ = true; }
  // The events that the callback is to get, with those of an older profile callback where none of
  // ours takes their place.
  unsigned MaskFor(bool profiles, bool rows) const;
  bool Has(unsigned mask) const { return mask == mask_; }
  bool Tells(unsigned events) const { return (mask_ & events) == events; }
  void Place(sqlite3* db, unsigned mask, Callback callback, void* self);
  // Another trace has the slot: the next Place() takes it.
  void Lost() { mask_ = 0; }
  // The callback was called for a statement.
  void WasCalled() { was_called_ = true; }
  // Whether the callback stands. Runs SQL.
  bool Stands(sqlite3* db);

 private:
  bool was_called_ = false;  // since Stands() has set this false
  bool may_have_profile_ = false;
  unsigned mask_ = 0;
};

}  // namespace walmanager
