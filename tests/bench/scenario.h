// The scenarios and the figures promised for them, as data. A scenario is a load on a database;
// every variant goes through it in turn.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "tests/bench/options.h"
#include "tests/bench/report.h"
#include "tests/bench/workload.h"

namespace walmanager::bench {

// What checkpoints the log: SQLite's autocheckpoint, or a strategy of the extension.
struct Variant {
  std::string name;
  int autocheckpoint = 0;  // frames; 0: the extension, and `name` is the strategy
  bool extension() const { return autocheckpoint == 0; }
};
// Every variant is compared with the first.
inline const Variant kSqlite[] = {{"sqlite-1000", 1000}, {"sqlite-4000", 4000}};
// Where something is promised against it: a log as long as wal_limit_bytes allows.
inline const Variant kLongLog = {"sqlite-16000", 16'000};
inline const Variant kControl = {"sqlite-1000 again", 1000};

struct Readers {
  int count = 0;
  int hold_ms = 0;  // a read transaction of this long around the SELECT; 0: autocommit
  int gap_ms = 0;   // after it, before the next
  bool once = false;
  int first_after_ms = 0;
};

// A figure of `strategy` against the same figure of the variant `against` in the same round; empty:
// the figure itself.
struct Promise {
  std::string strategy;
  std::string figure;
  std::string against;
  Target::Bound bound;
  double limit;
};

struct Scenario {
  std::string name;
  std::string workload;
  int rate = 0;  // commits per second of all writers together; 0: as fast as they go
  std::string synchronous = "NORMAL";
  Readers readers = {};
  int writers = 1;
  int commits = 0;  // of a segment, all writers together
  // Commits before the clock starts. A log that still grows is up to twice as slow under FULL as
  // one that is overwritten: 5000 commits are more than 4000 frames, so every variant has started
  // its log over by then.
  int warm_up = 0;
  int segments = 2;  // of each variant in a round
  std::vector<Promise> promises = {};

  std::string Description() const;
};

// The cases that figures are promised for, with the options' scale, hold and strategy applied.
std::vector<Scenario> PromisedCases(const Options& options);
// Every combination of workload, synchronous, pace, readers and writers that the options leave.
std::vector<Scenario> Grid(const Options& options);

}  // namespace walmanager::bench
