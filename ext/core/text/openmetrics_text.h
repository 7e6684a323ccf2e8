// Text in the format OpenMetrics 1.0, which Prometheus scrapes:
// https://github.com/OpenObservability/OpenMetrics/blob/main/specification/OpenMetrics.md.
//
// The rule that is easy to break: all samples of a family follow each other, no family begins
// twice, and no two samples have the same labels. Plain values, no thread rules.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace walmanager {

enum class MetricType : std::uint8_t { kCounter, kGauge, kHistogram, kInfo, kStateSet };

struct MetricFamily {
  std::string name;  // with its unit at the end; without _total, _info and _bucket
  MetricType type = MetricType::kGauge;
  std::string unit;  // the plural of a base unit, such as seconds; empty: none
  std::string help;
};

// Labels as they stand between braces. A value may be any bytes: those of no UTF-8 character, and
// control characters other than a new line, are shown as \xff.
class MetricLabels {
 public:
  MetricLabels& Add(std::string_view name, std::string_view value);
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

// How often something took at most `le` seconds.
struct HistogramBound {
  double le = 0;
  std::uint64_t count = 0;
};
struct MetricHistogram {
  std::vector<HistogramBound> bounds;  // ascending, without the one of +Inf
  std::uint64_t count = 0;
  double sum = 0;
};

// The bounds are powers of two in nanoseconds, from 1.024 µs to 68.7 s or to where the last bucket
// begins: there a bucket of each scale of histogram.h begins, so the counts are exact. `counts` may
// be empty: nothing was recorded.
template <typename Scale>
MetricHistogram BoundedHistogram(std::span<const std::uint64_t> counts, std::uint64_t sum_ns) {
  constexpr int kFirstBit = 10, kLastBit = 36;
  MetricHistogram histogram;
  histogram.sum = static_cast<double>(sum_ns) / 1e9;
  std::size_t bucket = 0;
  for (int bit = kFirstBit; bit <= kLastBit; ++bit) {
    const std::uint64_t bound_ns = std::uint64_t{1} << bit;
    if (Scale::Bucket(bound_ns) == Scale::Bucket(bound_ns - 1)) break;
    for (; bucket < counts.size() && bucket < Scale::Bucket(bound_ns); ++bucket) {
      histogram.count += counts[bucket];
    }
    histogram.bounds.push_back({static_cast<double>(bound_ns) / 1e9, histogram.count});
  }
  for (; bucket < counts.size(); ++bucket) histogram.count += counts[bucket];
  return histogram;
}

class OpenMetricsText {
 public:
  // The samples that follow are of this family. A family without samples is not written.
  void Begin(MetricFamily family);

  // Of a counter or a gauge. A number that is not finite is not written.
  void Add(const MetricLabels& labels, std::int64_t number);
  void Add(const MetricLabels& labels, std::uint64_t number);
  void Add(const MetricLabels& labels, double number);
  void AddInfo(const MetricLabels& labels);
  // A sample for each of `states`: 1 for `state`, 0 for the others.
  void AddState(const MetricLabels& labels, std::span<const std::string_view> states,
                std::string_view state);
  void AddHistogram(const MetricLabels& labels, const MetricHistogram& histogram);

  // The whole text; its last line has no new line at its end, which sqlite3 and print() add.
  std::string Finish();

 private:
  void Write(std::string_view suffix, const std::string& labels, std::string_view number);

  std::string text_;
  MetricFamily family_;
  bool begun_ = false;
};

}  // namespace walmanager
