// Connections of the extension to one database that another part keeps open, beside those of
// Database: the connections of read_pool(). Database has them closed when the host needs the
// database for itself, and drops them before the host's last connection closes.
#pragma once

#include <memory>
#include <string>

#include "ext/core/format/file_id.h"

namespace walmanager {

class KeptConnections {
 public:
  virtual ~KeptConnections() = default;
  // Closes idle connections now, and the others when they have done their work. From any thread.
  virtual void CloseConnections() = 0;
};

// Makes the part that keeps them, for the file `id` at `path`.
using KeptConnectionsMaker = std::shared_ptr<KeptConnections> (*)(const std::string& path,
                                                                  const FileId& id);

}  // namespace walmanager
