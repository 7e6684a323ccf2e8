// This process's one descriptor on a control file while the file is opened, and its entry in the
// process's list of open control files (Registry::control_files), which stays until the descriptor
// is closed.
//
// The rule that is easy to break: POSIX drops all of a process's locks on a file when any of its
// descriptors is closed. So a file that this process may have open already, under whatever name, is
// not opened, and a descriptor on one is left open rather than closed.
//
// Nor is a number closed that the program may have closed, and given to a file of its own, as long
// as fstat does not say which file it is. The entry then keeps the number
// (OpenControl::left_fd), and the next open of a control file in this process tries again.
// Thread rules: one thread per object. The registry's control_mutex is taken inside.
#pragma once

#include <sys/stat.h>

#include <memory>
#include <string>

#include "ext/core/base/mutex.h"
#include "ext/system/registry.h"

namespace walmanager {

class ControlFile;

// Closes the descriptor of the control file `key`, and removes the file's entry, or leaves both for
// later. Where the number is another file's by now, that stays open. Needs no memory.
void CloseControl(Registry& registry, const Registry::FileKey& key, int fd)
    REQUIRES(registry.control_mutex);

class ControlDescriptor {
 public:
  // Throws bad_alloc. After that no entry in the registry needs memory.
  explicit ControlDescriptor(Registry& registry);
  ~ControlDescriptor() { Close(); }
  ControlDescriptor(const ControlDescriptor&) = delete;
  ControlDescriptor& operator=(const ControlDescriptor&) = delete;

  struct Outcome {
    std::string reason{};  // empty: it is open
    // Another process, or another thread of this one, is just making, opening or closing it.
    bool being_made = false;
    bool lacks_room = false;               // there is no room for it on the disk
    std::shared_ptr<ControlFile> known{};  // this process has it open already
  };
  // Opens the file at `path`, or makes an empty one. `database`: the status of the database file,
  // whose permissions the control file gets.
  Outcome Open(const std::string& path, const std::string& database_path,
               const struct stat& database, bool make);
  int fd() const { return fd_; }
  const Registry::FileKey& key() const { return key_; }
  // From now on other threads find `file` in this process's list. It has the descriptor, and closes
  // it.
  void HandTo(const std::shared_ptr<ControlFile>& file);

 private:
  Outcome OpenLocked(const std::string& path, const std::string& database_path,
                     const struct stat& database, bool make) REQUIRES(registry_.control_mutex);
  void Enter(int fd, const struct stat& status, bool made) REQUIRES(registry_.control_mutex);
  // The descriptor is closed later, once it is known to be one of this file.
  void Leave(int fd, const Registry::FileKey& key) REQUIRES(registry_.control_mutex);
  void Close();

  using Entries = decltype(Registry::control_files);
  Registry& registry_;
  Entries::node_type entry_;
  Registry::FileKey key_;
  int fd_ = -1;
  bool made_ = false;
};

}  // namespace walmanager
