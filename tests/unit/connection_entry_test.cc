// A connection is read whole and of one owner.
#include "ext/core/control/connection_entry.h"

#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>

#include "tests/unit/control_region_block.h"

namespace walmanager {
namespace {

// Its id was read first and nothing looked at it again: the rest could be the next owner's.
TEST(ConnectionEntry, BugWhatWasReadWasOfTwoOwners) {
  Block block;
  layout::ConnectionSlab& slab = block.region.slab(0);
  std::atomic<bool> stop{false};
  std::thread owners([&] {
    for (std::uint64_t id = 1; !stop; ++id) {
      const std::string name = std::to_string(id);
      ClearConnection(slab.info);
      DescribeConnection(slab.info, {.id = id,
                                     .opened_ms = static_cast<std::int64_t>(id),
                                     .application = name,
                                     .process = name,
                                     .file = name});
    }
  });
  int seen = 0;
  for (int i = 0; i < 2'000'000 && seen < 20'000; ++i) {
    const ConnectionEntry entry = ReadConnection(slab);
    if (entry.id == 0) continue;
    ++seen;
    const std::string name = std::to_string(entry.id);
    ASSERT_EQ(entry.opened_ms, static_cast<std::int64_t>(entry.id));
    ASSERT_EQ(entry.application, name);
    ASSERT_EQ(entry.process, name);
    ASSERT_EQ(entry.file, name);
  }
  stop = true;
  owners.join();
  const ConnectionEntry last = ReadConnection(slab);
  EXPECT_NE(last.id, 0u);
  EXPECT_EQ(last.file, std::to_string(last.id));
}

}  // namespace
}  // namespace walmanager
