// The parts that run a checkpoint on a database, opened as a commit of the program's would.
#pragma once

#include <gtest/gtest.h>

#include <atomic>

#include "ext/checkpoint/checkpoint_connections.h"
#include "ext/checkpoint/checkpointer.h"
#include "ext/checkpoint/copied_frames.h"
#include "tests/engine/wal_database.h"

namespace walmanager {

class CheckpointParts : public testing::Test {
 protected:
  using Allowed = CheckpointConnections::Allowed;

  void OpenConnections() {
    ASSERT_EQ(connections_.Permit(database_.host()), Allowed::kYes)
        << connections_.unguarded_because();
    ASSERT_EQ(connections_.Open(), Allowed::kYes) << connections_.unguarded_because();
  }

  WalDatabase database_;
  int shown_ = 0;  // connections that are open and not closed yet, as their listener is told
  CheckpointConnections connections_{database_.path(), database_.id(),
                                     [this](bool open) { shown_ += open ? 1 : -1; }};
  CopiedFrames copied_frames_{connections_};
  std::atomic<int> callers_waiting_{0};
  Checkpointer checkpointer_{database_.path(), callers_waiting_, connections_, copied_frames_};
};

}  // namespace walmanager
