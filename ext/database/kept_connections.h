// Connections of the extension to one database that another part keeps open beside Database's own,
// such as those of read_pool(). Database has them closed when the host needs the database for
// itself, and lets go of them before its last connection closes.
#pragma once

#include <memory>
#include <string>

#include "ext/core/format/file_id.h"

namespace walmanager {

class KeptConnections {
 public:
  virtual ~KeptConnections() = default;
  // Idle connections are closed when this returns, the others when they have done their work.
  // From any thread.
  virtual void CloseConnections() = 0;
};

// Makes what keeps them, for the file `id` at `path`.
using KeptConnectionsMaker = std::shared_ptr<KeptConnections> (*)(const std::string& path,
                                                                  const FileId& id);

}  // namespace walmanager
