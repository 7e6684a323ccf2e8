#include "ext/checkpoint/own_connection_entry.h"

#include "ext/core/control/connection_entry.h"
#include "ext/engine/sqlite.h"
#include "ext/system/clock.h"
#include "ext/system/registry.h"

namespace walmanager {

void OwnConnectionEntry::Hide() {
  if (shown_in_) shown_in_->ReleaseSlab(slab_);
  shown_in_.reset();
}

void OwnConnectionEntry::Show() {
  Hide();
  const auto current = control_.Get();
  const std::size_t slab = current->ClaimSlab();
  if (slab >= layout::kConnections) return current->ReleaseSlab(slab);
  shown_in_ = current;
  slab_ = slab;
  if (id_ == 0) id_ = Registry::Get().NewConnectionId();
  DescribeConnection(current->region().slab(slab).info,
                     {.id = id_,
                      .main = true,
                      .role = ConnectionRole::kCheckpointer,
                      .opened_ms = UnixMs(),
                      .sqlite_version = sqlite3_libversion_number(),
                      .application = "walmanager",
                      .process = ThisProcess().name,
                      .file = path_});
}

}  // namespace walmanager
