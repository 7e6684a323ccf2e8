// The measurements of one segment: filled in a child process, summarized here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "tests/bench/autocheckpoint.h"
#include "tests/bench/process.h"

namespace walmanager::bench {

// A commit, or whatever a segment does over and over.
struct Operation {
  std::uint64_t ns;
  std::uint64_t while_held;  // 1: it began while a reader held its snapshot
};

// Fixed-size, to cross from the child. A duration that was not measured is kNever.
struct Totals {
  static constexpr std::uint64_t kNever = ~std::uint64_t{0};
  static constexpr std::size_t kCheckpointGroups = 16;
  std::uint64_t elapsed_ns, cpu_ns;
  std::uint64_t busy;
  std::uint64_t hook_ns;  // that commits spent in checkpoints, or in the extension's hook
  std::uint64_t log_bytes, log_frames, log_resets;
  std::uint64_t reset_after_ns;  // the long reader was gone; 0 where there is none
  std::uint64_t written_bytes;   // by the disk, until the database was closed
  ProcessUse use;                // at the end, with the database open
  CheckpointGroup checkpoints[kCheckpointGroups];  // those with a mode
};

struct Measured {
  Measured(std::size_t operation_count, std::size_t most_reads)
      : operations(operation_count), reads(most_reads), totals_(1) {}
  Totals& totals() const { return totals_[0]; }

  SharedArray<Operation> operations;
  SharedArray<std::uint64_t> reads;  // ns; 0: never happened

 private:
  SharedArray<Totals> totals_;
};

// By name, which is a table's column and a JSON key, so that tables, ratios and promises need no
// second list. What was not measured is absent.
using Figures = std::map<std::string, double>;

// Of the segments of one variant in one round, which count together.
Figures Summarize(const std::vector<Measured>& segments);

}  // namespace walmanager::bench
