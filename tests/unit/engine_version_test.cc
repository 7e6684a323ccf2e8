// Which releases of SQLite have the WAL-reset bug, by https://www.sqlite.org/wal.html.
#include "ext/core/base/engine_version.h"

#include <gtest/gtest.h>

namespace walmanager {
namespace {

TEST(EngineVersion, TheWalResetBugIsKnownByRelease) {
  struct Case {
    int version;
    bool has_bug;
  };
  constexpr Case kCases[] = {
      {3006023, false},  // before there was a write-ahead log
      {3007000, true},  {kOldestEngine, true}, {3040001, true},  {3043002, true},  {3044000, true},
      {3044005, true},  {3044006, false},      {3044999, false}, {3045000, true},  {3046001, true},
      {3049002, true},  {3050000, true},       {3050006, true},  {3050007, false}, {3050999, false},
      {3051000, true},  {3051002, true},       {3051003, false}, {3052000, false}, {4000000, false},
  };
  for (const Case& c : kCases) EXPECT_EQ(HasWalResetBug(c.version), c.has_bug) << c.version;
}

static_assert(HasWalResetBug(3040001) && !HasWalResetBug(3051003), "known at compile time");

}  // namespace
}  // namespace walmanager
