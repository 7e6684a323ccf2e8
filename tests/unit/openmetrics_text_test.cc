// Text for Prometheus as OpenMetrics 1.0 has it.
#include "ext/core/text/openmetrics_text.h"

#include <gtest/gtest.h>

#include <limits>

#include "ext/core/base/histogram.h"

namespace walmanager {
namespace {

MetricLabels Label(std::string_view value) { return MetricLabels().Add("a", value); }

TEST(OpenMetricsText, EndsWithItsMarkAlsoWithoutMetrics) {
  EXPECT_EQ(OpenMetricsText().Finish(), "# EOF");
}

TEST(OpenMetricsText, ACounterHasItsSuffixInTheSampleAlone) {
  OpenMetricsText text;
  text.Begin({"x_written_bytes", MetricType::kCounter, "bytes", "what was written"});
  text.Add(Label("b"), std::int64_t{7});
  text.Add(MetricLabels(), std::numeric_limits<std::uint64_t>::max());
  EXPECT_EQ(text.Finish(),
            "# TYPE x_written_bytes counter\n# UNIT x_written_bytes bytes\n"
            "# HELP x_written_bytes what was written\nx_written_bytes_total{a=\"b\"} 7\n"
            "x_written_bytes_total 18446744073709551615\n# EOF");
}

TEST(OpenMetricsText, AFamilyWithoutSamplesIsNotWritten) {
  OpenMetricsText text;
  text.Begin({"empty", MetricType::kGauge, "", "nothing"});
  text.Add(MetricLabels(), std::numeric_limits<double>::infinity());
  text.Add(MetricLabels(), std::numeric_limits<double>::quiet_NaN());
  text.Begin({"full", MetricType::kGauge, "", "something"});
  text.Add(MetricLabels(), 0.1);
  EXPECT_EQ(text.Finish(), "# TYPE full gauge\n# HELP full something\nfull 0.1\n# EOF");
}

TEST(OpenMetricsText, AStateSetHasASampleForEachState) {
  constexpr std::string_view kStates[] = {"ok", "bad"};
  OpenMetricsText text;
  text.Begin({"health", MetricType::kStateSet, "", "h"});
  text.AddState(Label("b"), kStates, "bad");
  EXPECT_EQ(text.Finish(),
            "# TYPE health stateset\n# HELP health h\nhealth{a=\"b\",health=\"ok\"} 0\n"
            "health{a=\"b\",health=\"bad\"} 1\n# EOF");
}

TEST(OpenMetricsText, AnInfoIsOne) {
  OpenMetricsText text;
  text.Begin({"build", MetricType::kInfo, "", "h"});
  text.AddInfo(Label("b"));
  EXPECT_EQ(text.Finish(), "# TYPE build info\n# HELP build h\nbuild_info{a=\"b\"} 1\n# EOF");
}

TEST(OpenMetricsText, HelpIsEscaped) {
  OpenMetricsText text;
  text.Begin({"x", MetricType::kGauge, "", "\"database is locked\"\nC:\\"});
  text.Add(MetricLabels(), std::int64_t{-1});
  EXPECT_EQ(text.Finish(),
            "# TYPE x gauge\n# HELP x \\\"database is locked\\\"\\nC:\\\\\nx -1\n# EOF");
}

TEST(MetricLabels, NoValueEndsItsQuotes) {
  EXPECT_EQ(Label("a\"b\\c\nd").text(), R"(a="a\"b\\c\nd")");
  EXPECT_EQ(Label("ü€😀").text(), "a=\"ü€😀\"");
  EXPECT_EQ(Label("").Add("b", "2").text(), R"(a="",b="2")");
}

TEST(MetricLabels, BytesThatAreNoTextAreShown) {
  EXPECT_EQ(Label("a\xff\xc3").text(), R"(a="a\\xff\\xc3")");
  EXPECT_EQ(Label(std::string_view("\0\r\x1b[31m\x7f", 8)).text(),
            R"(a="\\x00\\x0d\\x1b[31m\\x7f")");
  EXPECT_EQ(Label("\xc2\x9b").text(), R"(a="\\xc2\\x9b")") << "a control character of two bytes";
  EXPECT_EQ(Label("\xed\xa0\x80").text(), R"(a="\\xed\\xa0\\x80")") << "half of a surrogate pair";
}

template <typename Scale>
void CountsAreExact() {
  std::vector<std::uint64_t> counts(Scale::kBuckets);
  const std::uint64_t durations[] = {0, 1023, 1024, 1'000'000, (1ull << 30) - 1, 1ull << 30, ~0ull};
  for (const std::uint64_t ns : durations) ++counts[Scale::Bucket(ns)];
  const MetricHistogram histogram = BoundedHistogram<Scale>(counts, 1'500'000'000);
  EXPECT_EQ(histogram.count, std::size(durations));
  EXPECT_EQ(histogram.sum, 1.5);
  ASSERT_EQ(histogram.bounds.size(), 27u);
  EXPECT_EQ(histogram.bounds.front().le, 1.024e-6);
  EXPECT_EQ(histogram.bounds.front().count, 2u);
  EXPECT_EQ(histogram.bounds[1].count, 3u);
  EXPECT_EQ(histogram.bounds[20].le, 1.073741824);
  EXPECT_EQ(histogram.bounds[20].count, 5u);
  EXPECT_EQ(histogram.bounds.back().count, 6u) << "the last is beyond all bounds";
}

TEST(BoundedHistogram, CountsAreExact) {
  CountsAreExact<DurationScale>();
  CountsAreExact<StatementScale>();
}

TEST(BoundedHistogram, TheBoundsEndWithTheScale) {
  std::vector<std::uint64_t> counts(HistoryScale::kBuckets);
  for (const std::uint64_t ns : {1ull << 30, 1ull << 31, 1ull << 33})
    ++counts[HistoryScale::Bucket(ns)];
  const MetricHistogram histogram = BoundedHistogram<HistoryScale>(counts, 0);
  EXPECT_EQ(histogram.count, 3u);
  EXPECT_EQ(histogram.bounds.back().le, 2.147483648);
  EXPECT_EQ(histogram.bounds.back().count, 1u);
}

TEST(BoundedHistogram, NothingWasRecorded) {
  const MetricHistogram histogram = BoundedHistogram<DurationScale>({}, 0);
  EXPECT_EQ(histogram.count, 0u);
  EXPECT_EQ(histogram.bounds.size(), 27u);
}

TEST(OpenMetricsText, AHistogramEndsWithAllItsCounts) {
  OpenMetricsText text;
  text.Begin({"x_seconds", MetricType::kHistogram, "seconds", "h"});
  text.AddHistogram(Label("b"), {{{1.024e-6, 1}, {2, 3}}, 4, 0.25});
  EXPECT_EQ(text.Finish(),
            "# TYPE x_seconds histogram\n# UNIT x_seconds seconds\n# HELP x_seconds h\n"
            "x_seconds_bucket{a=\"b\",le=\"1.024e-06\"} 1\nx_seconds_bucket{a=\"b\",le=\"2.0\"} 3\n"
            "x_seconds_bucket{a=\"b\",le=\"+Inf\"} 4\nx_seconds_count{a=\"b\"} 4\n"
            "x_seconds_sum{a=\"b\"} 0.25\n# EOF");
}

}  // namespace
}  // namespace walmanager
