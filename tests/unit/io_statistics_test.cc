#include "ext/core/control/io_statistics.h"

#include <gtest/gtest.h>

#include <numeric>

#include "tests/unit/control_region_block.h"

namespace walmanager {
namespace {

constexpr auto kApplication = IoOrigin::kApplication;
constexpr auto kWalmanager = IoOrigin::kWalmanager;

class IoStatisticsTest : public testing::Test {
 protected:
  IoStatisticsTest() { block_.file->header.slabs_used = layout::kFirstConnections + 2; }
  IoTraffic Log() const { return io_.ReadTraffic(kApplication, IoFile::kLog); }

  MadeBlock block_;
  IoStatistics io_{&block_.space};
};

TEST_F(IoStatisticsTest, SumsWhatConnectionsCountInTheirSlabs) {
  // In the first part, in a section, and without a slab.
  for (const std::size_t slab : {std::size_t{0}, layout::kFirstConnections + 1, kShared}) {
    IoPlace place(&block_.space, slab);
    place.Write(IoFile::kLog, 24, 0);
    place.Write(IoFile::kLog, 4096, 3'000);
    place.Read(IoFile::kDatabase, 4096, 700);
  }
  const IoTraffic log = Log(), database = io_.ReadTraffic(kApplication, IoFile::kDatabase);
  EXPECT_EQ(log.writes, 6U);
  EXPECT_EQ(log.written_bytes, 3U * 4120);
  EXPECT_EQ(log.write_ns, 9'000U);
  EXPECT_EQ(log.reads, 0U);
  EXPECT_EQ(database.reads, 3U);
  EXPECT_EQ(database.read_bytes, 3U * 4096);
  EXPECT_EQ(database.read_ns, 2'100U);
  EXPECT_EQ(io_.ReadTraffic(kWalmanager, IoFile::kLog).writes, 0U);
}

TEST_F(IoStatisticsTest, KnowsSyncsAndErrorsByFileAndOrigin) {
  io_.AddSync(kWalmanager, IoFile::kDatabase, 2'000'000);
  io_.AddSync(kWalmanager, IoFile::kDatabase, 5'000'000);
  io_.AddError(kApplication, IoFile::kLog, 778, 5, 1'234);
  const IoSyncs syncs = io_.ReadSyncs(kWalmanager, IoFile::kDatabase);
  EXPECT_EQ(syncs.syncs, 2U);
  EXPECT_EQ(syncs.sync_ns, 7'000'000U);
  EXPECT_EQ(syncs.max_ns, 5'000'000U);
  EXPECT_EQ(std::accumulate(syncs.histogram.begin(), syncs.histogram.end(), std::uint64_t{0}), 2U);
  EXPECT_NEAR(*HistogramQuantile<HistoryWaitScale>(syncs.histogram, 0.5), 2e6, 2.3e5);
  EXPECT_EQ(io_.ReadSyncs(kApplication, IoFile::kDatabase).syncs, 0U);
  const IoErrors errors = io_.ReadErrors(kApplication, IoFile::kLog);
  EXPECT_EQ(errors.errors, 1U);
  EXPECT_EQ(errors.last_code, 778);
  EXPECT_EQ(errors.last_errno, 5);
  EXPECT_EQ(errors.last_ms, 1'234);
  EXPECT_EQ(io_.ReadErrors(kApplication, IoFile::kSharedMemory).errors, 0U);
}

TEST_F(IoStatisticsTest, AResetForgetsAllAndOwnersGoOn) {
  IoPlace place(&block_.space, 0);
  place.Write(IoFile::kLog, 4096, 3'000);
  io_.Add(kWalmanager, IoFile::kLog, {.reads = 2, .read_bytes = 8192, .read_ns = 9});
  io_.AddSync(kApplication, IoFile::kLog, 1'000);
  io_.AddError(kApplication, IoFile::kLog, 778, 5, 1);
  block_.region.ForgetCounts(3'000, 4'000);
  EXPECT_FALSE(Log().any());
  EXPECT_FALSE(io_.ReadTraffic(kWalmanager, IoFile::kLog).any());
  EXPECT_EQ(io_.ReadSyncs(kApplication, IoFile::kLog).max_ns, 0U);
  EXPECT_EQ(io_.ReadErrors(kApplication, IoFile::kLog).errors, 0U);
  place.Write(IoFile::kLog, 100, 7);
  EXPECT_EQ(Log().writes, 1U);
  EXPECT_EQ(Log().written_bytes, 100U);
}

TEST_F(IoStatisticsTest, TheNextOwnerOfASlabAddsToIt) {
  IoPlace(&block_.space, 2).Read(IoFile::kLog, 10, 1);
  IoPlace(&block_.space, 2).Read(IoFile::kLog, 10, 1);
  EXPECT_EQ(Log().reads, 2U);
}

TEST_F(IoStatisticsTest, MovesToAFileThatWasMade) {
  MadeBlock other;
  other.file->header.slabs_used = 1;
  IoPlace(&block_.space, 3).Write(IoFile::kLog, 10, 1);
  IoPlace(&block_.space, 4).Write(IoFile::kLog, 10, 1);
  io_.AddSync(kApplication, IoFile::kLog, 1'000);
  io_.AddError(kWalmanager, IoFile::kDatabase, 13, 28, 9);
  other.region.TakeOver(0, block_.region, 3, /*with_frames=*/true);
  other.region.TakeOverLeft(block_.region, 4, /*with_frames=*/true);
  IoStatistics there(&other.space);
  io_.MoveTo(there);
  EXPECT_EQ(there.ReadTraffic(kApplication, IoFile::kLog).writes, 2U);
  EXPECT_EQ(there.ReadSyncs(kApplication, IoFile::kLog).syncs, 1U);
  EXPECT_EQ(there.ReadErrors(kWalmanager, IoFile::kDatabase).last_errno, 28);
  EXPECT_FALSE(Log().any());
  EXPECT_EQ(io_.ReadSyncs(kApplication, IoFile::kLog).syncs, 0U);
  EXPECT_EQ(io_.ReadErrors(kWalmanager, IoFile::kDatabase).errors, 0U);
}

}  // namespace
}  // namespace walmanager
