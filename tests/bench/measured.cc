#include "tests/bench/measured.h"

#include <algorithm>
#include <iterator>
#include <limits>

#include "tests/bench/statistics.h"

namespace walmanager::bench {
namespace {

constexpr std::uint64_t kStallNs = 1'000'000;

double Us(const std::vector<std::uint64_t>& sorted_ns, double quantile) {
  return Quantile(sorted_ns, quantile) / 1e3;
}

double Sum(const std::vector<std::uint64_t>& values) {
  double sum = 0;
  for (const std::uint64_t value : values) sum += static_cast<double>(value);
  return sum;
}

}  // namespace

Figures Summarize(const std::vector<Measured>& segments) {
  std::vector<std::uint64_t> all, held, reads, stalls;
  Totals sum{};
  std::uint64_t reset_after_ns = 0;
  for (const Measured& segment : segments) {
    for (const Operation& operation : segment.operations) {
      all.push_back(operation.ns);
      if (operation.while_held) held.push_back(operation.ns);
      if (operation.ns > kStallNs) stalls.push_back(operation.ns);
    }
    std::copy_if(segment.reads.begin(), segment.reads.end(), std::back_inserter(reads),
                 [](std::uint64_t ns) { return ns > 0; });
    const Totals& totals = segment.totals();
    sum.elapsed_ns += totals.elapsed_ns;
    sum.cpu_ns += totals.cpu_ns;
    sum.busy += totals.busy;
    sum.log_resets += totals.log_resets;
    sum.hook_ns += totals.hook_ns;
    sum.written_bytes += totals.written_bytes;
    sum.log_bytes = std::max(sum.log_bytes, totals.log_bytes);
    sum.log_frames = std::max(sum.log_frames, totals.log_frames);
    sum.use.resident = std::max(sum.use.resident, totals.use.resident);
    sum.use.peak = std::max(sum.use.peak, totals.use.peak);
    sum.use.proportional = std::max(sum.use.proportional, totals.use.proportional);
    reset_after_ns = std::max(reset_after_ns, totals.reset_after_ns);
  }
  for (auto* values : {&all, &held, &reads}) std::sort(values->begin(), values->end());
  const auto count = static_cast<double>(all.size());
  const auto mb = [](std::uint64_t bytes) { return static_cast<double>(bytes) / 1e6; };
  const double seconds = static_cast<double>(sum.elapsed_ns) / 1e9;
  Figures figures{{"ops_per_s", count / seconds},
                  {"mean_ms", Sum(all) / count / 1e6},
                  {"p50_us", Us(all, 0.5)},
                  {"p95_us", Us(all, 0.95)},
                  {"p95_ms", Us(all, 0.95) / 1e3},
                  {"p99_us", Us(all, 0.99)},
                  {"p99.9_us", Us(all, 0.999)},
                  {"p99.99_us", Us(all, 0.9999)},
                  {"max_us", Us(all, 1)},
                  {"stall_ms", Sum(stalls) / 1e6},
                  {"hook_ms", static_cast<double>(sum.hook_ns) / 1e6},
                  {"cpu_us", static_cast<double>(sum.cpu_ns) / 1e3 / count},
                  {"busy", static_cast<double>(sum.busy)},
                  {"wal_max_mb", mb(sum.log_bytes)},
                  {"wal_max_frames", static_cast<double>(sum.log_frames)},
                  {"wal_resets", static_cast<double>(sum.log_resets)},
                  {"rss_mb", mb(sum.use.resident)},
                  {"rss_peak_mb", mb(sum.use.peak)},
                  {"pss_mb", mb(sum.use.proportional)}};
  // Without a disk it is unknown.
  if (sum.written_bytes > 0) figures["written_mb"] = mb(sum.written_bytes);
  // What the same commits would reach if none of them took over a millisecond: SQLite without its
  // checkpoints. Of one writer.
  figures["free_ops_per_s"] = count / (seconds - Sum(stalls) / 1e9);
  if (!reads.empty()) {
    figures["reads_per_s"] = static_cast<double>(reads.size()) / seconds;
    figures["read_p99_us"] = Us(reads, 0.99);
  }
  if (!held.empty()) figures["held_p99.9_us"] = Us(held, 0.999);
  if (reset_after_ns > 0) {
    figures["reset_after_s"] = reset_after_ns == Totals::kNever
                                   ? std::numeric_limits<double>::infinity()
                                   : static_cast<double>(reset_after_ns) / 1e9;
  }
  return figures;
}

}  // namespace walmanager::bench
