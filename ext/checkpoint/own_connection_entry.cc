#include "ext/checkpoint/own_connection_entry.h"

#include "ext/core/control/connection_entry.h"
#include "ext/engine/sqlite.h"
#include "ext/system/clock.h"
#include "ext/system/registry.h"

namespace walmanager {

void OwnConnectionEntry::Hide() {
  if (file_) file_->ShowLocksIn(nullptr, 0);
  file_ = nullptr;
  if (shown_in_) shown_in_->ReleaseSlab(slab_);
  shown_in_.reset();
}

void OwnConnectionEntry::Show(OwnFile* file) {
  Hide();
  const auto current = control_.Get();
  const std::size_t slab = current->ClaimSlab();
  if (slab >= layout::kConnections) return current->ReleaseSlab(slab);
  shown_in_ = current;
  slab_ = slab;
  if (id_ == 0) id_ = Registry::Get().NewConnectionId();
  layout::ConnectionInfo& info = current->region().slab(slab).info;
  DescribeConnection(info, {.id = id_,
                            .main = true,
                            .role = ConnectionRole::kCheckpointer,
                            .opened_ms = UnixMs(),
                            .sqlite_version = sqlite3_libversion_number(),
                            .application = "walmanager",
                            .process = ThisProcess().name,
                            .file = path_});
  file_ = file;
  if (file_) file_->ShowLocksIn(&info.locks, id_);
}

}  // namespace walmanager
