// Shows the checkpointer's connections in connection_metrics while they are open: one entry for
// both.
// Thread rules: the caller holds the mutex of CheckpointState.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "ext/engine/own_vfs.h"
#include "ext/system/control_in_use.h"

namespace walmanager {

class OwnConnectionEntry {
 public:
  OwnConnectionEntry(std::string database_path, const ControlInUse& control)
      : path_(std::move(database_path)), control_(control) {}

  // `file`: of the connection that checkpoints, whose locks are shown, too; nullptr: of none. It
  // is there until Hide().
  void Show(OwnFile* file = nullptr);
  void Hide();

 private:
  const std::string path_;
  const ControlInUse& control_;
  std::shared_ptr<ControlFile> shown_in_;  // nullptr where it is not shown
  std::size_t slab_ = 0;
  OwnFile* file_ = nullptr;  // that shows its locks
  std::uint64_t id_ = 0;     // the same each time it is shown
};

}  // namespace walmanager
