#include "ext/database/health_watch.h"

#include <gtest/gtest.h>

#include "ext/core/control/history.h"
#include "ext/core/control/shared_words.h"
#include "ext/database/database.h"
#include "ext/system/clock.h"
#include "tests/engine/wal_database.h"

namespace walmanager {
namespace {

constexpr std::int64_t kHourMs = 3'600'000;

// What system_health says in these tests, and how often it was asked.
struct Health {
  int reads = 0;
  CheckStatus status = CheckStatus::kCritical;
  std::int64_t cpu_ns = 0;  // what a reading takes
};
Health health;

class FakeObserver final : public HealthObserver {
 public:
  Result<std::vector<Check>> Read(Database&) override {
    ++health.reads;
    const std::int64_t start = ClockNs(CLOCK_THREAD_CPUTIME_ID);
    while (ClockNs(CLOCK_THREAD_CPUTIME_ID) - start < health.cpu_ns) {
    }
    Check size, overall;
    size.name = "wal_size";
    size.status = health.status;
    size.detail = "too long";
    overall.name = "overall";
    overall.status = health.status;
    overall.score = 42;
    return std::vector<Check>{size, overall};
  }
};

class HealthWatchTest : public testing::Test {
 protected:
  void SetUp() override {
    health = {};
    SetObserverMaker(
        []() -> std::unique_ptr<HealthObserver> { return std::make_unique<FakeObserver>(); });
    database_->MakeControl();
    control_ = database_->control();
    ASSERT_TRUE(control_->shared());
    Set(Setting::kAlertIntervalMs, kHourMs);
    Set(Setting::kSampleIntervalMs, kHourMs);
  }
  void TearDown() override { SetObserverMaker(nullptr); }

  void Set(Setting setting, std::int64_t value) {
    ChangeSetting(control_->region(), setting, value);
  }
  // The evaluation before was so long ago that the next one is due.
  void LetAnHourPass() { Put(control_->region().engine().evaluated_ns, 0); }
  std::size_t Samples() { return History(control_->space()).Read().size(); }
  bool TakeASample() {
    Set(Setting::kSampleIntervalMs, 10);
    const bool taken = WaitUntil([&] {
      watch_.Tick(/*alerts=*/false);
      return Samples() > 0;
    });
    Set(Setting::kSampleIntervalMs, kHourMs);
    return taken;
  }

  WalDatabase files_;
  std::shared_ptr<Database> database_ = Database::ForFile(files_.path());
  std::shared_ptr<ControlFile> control_;
  HealthWatch watch_{*database_};
};

TEST_F(HealthWatchTest, RaisesAnAlertAndEvaluatesOnceAnInterval) {
  Set(Setting::kAlertSamples, 1);
  const auto alerts = watch_.Tick(/*alerts=*/true);
  ASSERT_EQ(alerts.size(), 1u);
  EXPECT_EQ(alerts[0].check, "wal_size");
  EXPECT_EQ(alerts[0].status, AlertStatus::kCritical);
  EXPECT_EQ(alerts[0].detail, "too long");
  EXPECT_EQ(health.reads, 1);
  EXPECT_EQ(Get(control_->region().engine().health_score), 43u);  // + 1: 0 is unknown
  EXPECT_TRUE(watch_.Tick(/*alerts=*/true).empty());
  EXPECT_EQ(health.reads, 1);
}

TEST_F(HealthWatchTest, AnAlertNeedsAsManyReadingsInARowAsTheSettingSays) {
  Set(Setting::kAlertSamples, 3);
  for (const std::size_t raised : {0u, 0u, 1u, 0u}) {
    EXPECT_EQ(watch_.Tick(/*alerts=*/true).size(), raised);
    LetAnHourPass();
  }
  EXPECT_EQ(health.reads, 4);
}

// Bug: wal_openmetrics() spent what the evaluation of alerts may take, which then came too late.
TEST_F(HealthWatchTest, ACallOfTheUserSpendsNothingOfWhatAlertsMayTake) {
  health.cpu_ns = 120'000'000;
  ASSERT_TRUE(watch_.ReadChecks().ok());
  EXPECT_TRUE(watch_.HasRoomForAlerts(MonotonicNs()));
  watch_.Tick(/*alerts=*/true);
  EXPECT_EQ(health.reads, 2);
  EXPECT_FALSE(watch_.HasRoomForAlerts(MonotonicNs()));
}

TEST_F(HealthWatchTest, TakesASampleOnceAnIntervalAndEvaluatesNothingUnlessAsked) {
  EXPECT_TRUE(TakeASample());
  const std::size_t samples = Samples();
  watch_.Tick(/*alerts=*/false);
  EXPECT_EQ(Samples(), samples);
  EXPECT_EQ(health.reads, 0);
}

TEST_F(HealthWatchTest, ASampleHasWhatWasCounted) {
  const std::size_t slab = control_->ClaimSlab();
  ControlRegion::Commit commit;
  commit.frames = 3;
  control_->region().RecordCommit(slab, commit);
  control_->ReleaseSlab(slab);
  ASSERT_TRUE(TakeASample());
  const auto samples = History(control_->space()).Read();
  EXPECT_EQ(samples[0].counters.commits, 1u);
  EXPECT_EQ(samples[0].counters.frames_written, 3u);
  ASSERT_TRUE(samples[0].wal_bytes);
  EXPECT_EQ(samples[0].wal_bytes->last, files_.wal_bytes());
}

TEST_F(HealthWatchTest, DoesNothingWhileAnotherProcessIsAtIt) {
  ASSERT_TRUE(control_->TrySampler());
  EXPECT_TRUE(watch_.Tick(/*alerts=*/true).empty());
  EXPECT_EQ(health.reads, 0);
  control_->EndSampler();
  watch_.Tick(/*alerts=*/true);
  EXPECT_EQ(health.reads, 1);
}

TEST_F(HealthWatchTest, ForgetsTheSamplesAndSaysHowManyTheyWere) {
  ASSERT_TRUE(TakeASample());
  const std::size_t samples = Samples();
  EXPECT_EQ(watch_.ForgetHistory(), static_cast<std::int64_t>(samples));
  EXPECT_EQ(Samples(), 0u);
  EXPECT_EQ(watch_.ForgetHistory(), 0);
}

}  // namespace
}  // namespace walmanager
