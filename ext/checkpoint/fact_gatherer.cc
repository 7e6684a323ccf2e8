#include "ext/checkpoint/fact_gatherer.h"

#include <algorithm>

#include "ext/core/control/shared_words.h"

namespace walmanager {
namespace {

constexpr double kRateSmoothing = 0.3;

double Milliseconds(std::uint64_t from_ns, std::uint64_t to_ns) {
  return to_ns > from_ns ? static_cast<double>(to_ns - from_ns) / 1e6 : 0;
}

}  // namespace

Facts FactGatherer::Gather(const WalIndex& index, std::optional<std::int64_t> wal_bytes,
                           std::int64_t due_frames, std::uint64_t now_ns) {
  const auto current = control_.Get();
  ControlRegion& region = current->region();
  const double page_size = index.page_size;
  Facts facts;
  facts.pending_frames = index.pending();
  facts.pending_bytes = index.pending() * (page_size + kFrameHeaderBytes);
  facts.wal_frames = index.max_frame;
  if (wal_bytes) facts.wal_bytes = static_cast<double>(*wal_bytes);
  facts.page_size = page_size;
  if (const std::uint64_t last = Get(region.header().last_commit_ns)) {
    facts.idle_ms = Milliseconds(last, now_ns);
  }
  facts.since_checkpoint_ms = Milliseconds(Get(region.header().last_checkpoint_ns), now_ns);
  if (const std::uint64_t last = Get(region.checkpoints().last_ns)) {
    facts.last_checkpoint_ms = static_cast<double>(last) / 1e6;
  }
  facts.due_frames = static_cast<double>(due_frames);
  if (strategy_.Asks(&Facts::commits_since_checkpoint) || strategy_.Asks(&Facts::commit_rate)) {
    AddCommits(region, now_ns, facts);
  }
  if (strategy_.Asks(&Facts::readers) || strategy_.Asks(&Facts::oldest_reader_lag)) {
    AddReaders(index, facts);
  }
  return facts;
}

void FactGatherer::AddCommits(ControlRegion& region, std::uint64_t now_ns, Facts& facts) {
  const std::uint64_t commits = region.ReadCommits(false).commits;
  const std::uint64_t then = Get(region.header().commits_at_checkpoint);
  facts.commits_since_checkpoint = commits > then ? static_cast<double>(commits - then) : 0;
  if (rate_ns_ != 0 && now_ns > rate_ns_ && commits >= rate_commits_) {
    const double rate =
        static_cast<double>(commits - rate_commits_) * 1e9 / static_cast<double>(now_ns - rate_ns_);
    commit_rate_ = commit_rate_ ? *commit_rate_ + kRateSmoothing * (rate - *commit_rate_) : rate;
  }
  rate_ns_ = now_ns;
  rate_commits_ = commits;
  facts.commit_rate = commit_rate_;
}

void FactGatherer::AddReaders(const WalIndex& index, Facts& facts) const {
  const auto marks = readers_.Find();
  if (!marks) return;
  std::uint32_t oldest = index.max_frame;
  int readers = 0;
  for (std::size_t i = 0; i < marks->held.size(); ++i) {
    if (!marks->held[i]) continue;
    ++readers;
    oldest = std::min(oldest, index.Snapshot(static_cast<int>(i)));
  }
  facts.readers = readers;
  facts.oldest_reader_lag = index.max_frame - oldest;
}

}  // namespace walmanager
