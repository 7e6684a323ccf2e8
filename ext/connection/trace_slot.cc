#include "ext/connection/trace_slot.h"

namespace walmanager {

unsigned TraceSlot::MaskFor(bool profiles, bool rows) const {
  // Internal to SQLite: the callback of an older interface, which works while this bit is set.
  constexpr unsigned kOlderProfile = 0x80;
  unsigned mask = SQLITE_TRACE_STMT | SQLITE_TRACE_CLOSE;
  if (profiles) {
    mask |= SQLITE_TRACE_PROFILE;
  } else if (may_have_profile_) {
    mask |= kOlderProfile;
  }
  if (rows) mask |= SQLITE_TRACE_ROW;
  return mask;
}

void TraceSlot::Place(sqlite3* db, unsigned mask, Callback callback, void* self) {
  mask_ = mask;
  may_have_profile_ = true;  // a driver may set its own as soon as our trace stands
  sqlite3_trace_v2(db, mask, callback, self);
}

bool TraceSlot::Stands(sqlite3* db) {
  was_called_ = false;
  (void)QueryText(db, "SELECT 1");
  return was_called_;
}

}  // namespace walmanager
