// The command line of wal_bench.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "ext/core/base/result.h"

namespace walmanager::bench {

struct Options {
  enum class Mode {
    kFigures,
    kMatrix,
    kConversation,
    kHook,
    kStatements,
    kLoad,
    kPool,
    kBackup,
    kProfiles,
    kScale,
    kMachines
  };
  Mode mode = Mode::kFigures;
  int rounds = 3;
  double scale = 1;  // of the number of commits or operations in a segment
  int hold_s = 30;   // how long the long reader holds its snapshot
  std::string only_case;
  std::vector<std::string> strategies;
  bool control = false;  // SQLite a second time, to see what the machine's noise alone does
  // Which part of the matrix to run.
  std::optional<std::string> workload, synchronous;
  std::optional<int> rate, readers, writers;
  // What `scale` measures.
  std::vector<int> databases{1, 10, 100, 1000};
  int pairs = 10;  // of `profiles`, too
  std::string shell = "sqlite3";
  // What `profiles` measures: one or, empty, all, with these overrides for wal_configure.
  std::string only_profile;
  std::string overrides = "{}";
  int cpus = 0;  // that the run may use; 0: all
  int busy = 0;  // of those, kept busy by a process each
  std::string json_file;
  std::string directory;  // where databases are made; empty: the system's temporary directory

  // Whether this run includes the part of `figures` named `name`.
  bool Includes(const std::string& name) const { return only_case.empty() || only_case == name; }
};

// The parts of `figures`: the promised cases, then `hook`, `statements`, `load`, `pool` and
// `backup`.
inline constexpr const char* kCaseNames[] = {"indexed-paced",
                                             "indexed-saturating",
                                             "append-saturating",
                                             "indexed-full",
                                             "append-full",
                                             "overlapping-readers",
                                             "long-reader",
                                             "hook",
                                             "statements",
                                             "load",
                                             "pool",
                                             "backup"};

inline constexpr const char* kProfileNames[] = {"conversation", "high_concurrency", "low_latency",
                                                "durable",      "embedded",         "web"};

// The cases of `machines`.
inline constexpr const char* kMachineCaseNames[] = {
    "indexed-saturating", "append-saturating", "indexed-full", "append-full", "paced",
    "readers-20ms",       "readers-100ms"};

inline constexpr char kUsage[] =
    "wal_bench [MODE] [OPTION]...\n"
    "  figures          every promised figure, measured, with its limit (default; 20 minutes)\n"
    "  matrix           every workload, pace, synchronous, number of readers and of writers, with\n"
    "                   SQLite and every strategy (an hour a round; narrow it)\n"
    "  conversation     the conversation workload with and without the extension (3 minutes)\n"
    "  hook             nanoseconds added to a commit when nothing is due\n"
    "  statements       nanoseconds added to a statement and to a row by query_performance\n"
    "  load             milliseconds to load the extension\n"
    "  pool             two scans, two short aggregates and a hundred short statements through\n"
    "                   read_pool against one after the other on SQLite alone; p99 of point reads\n"
    "                   by 100 readers with and without the extension (6 minutes)\n"
    "  backup           wal_backup of 200 MB beside a saturating writer against a plain copy of\n"
    "                   the idle file, and the writer against itself (1 minute); needs 1 GB\n"
    "  profiles         each profile of wal_configure against SQLite's defaults, on the work that\n"
    "                   it is for, in one process and in four (15 minutes)\n"
    "  scale            many databases in one process, many connections to one, and processes and\n"
    "                   connections that live for a moment (5 minutes)\n"
    "  machines         what is promised of commits with two free processors, with one of two "
    "kept\n"
    "                   busy, and on one; --cpus and --busy name one of the three (a verdict\n"
    "                   needs 10 rounds)\n"
    "All of them:\n"
    "  --json FILE      writes the tables as JSON too\n"
    "  --dir DIR        an existing directory for the databases\n"
    "  --cpus N         1 to 1024 processors alone for the run (default: all)\n"
    "  --busy N         0 to 1024 of them are kept busy by a process each (default 0)\n"
    "All but profiles and scale:\n"
    "  --rounds N       1 to 1000 rounds in which the variants alternate (default 3)\n"
    "figures, matrix, conversation, pool, profiles, scale and machines:\n"
    "  --scale F        0.001 to 1000 times as many operations in each segment (default 1);\n"
    "                   scale: as many databases and connections\n"
    "figures and matrix:\n"
    "  --strategy NAME  figures: in the place of the strategies that promise; matrix: instead of\n"
    "                   all built-in ones but `off`, may be repeated\n"
    "  --control        SQLite a second time, as a measure of noise\n"
    "figures:\n"
    "  --case NAME      this part alone: indexed-paced, indexed-saturating, append-saturating,\n"
    "                   indexed-full, append-full, overlapping-readers, long-reader, hook,\n"
    "                   statements, load, pool, backup\n"
    "  --hold S         1 to 3600 seconds that the long reader holds its snapshot (default 30)\n"
    "machines:\n"
    "  --case NAME      this part alone: indexed-saturating, append-saturating, indexed-full,\n"
    "                   append-full, paced, readers-20ms, readers-100ms\n"
    "matrix:\n"
    "  --workload W     append or indexed\n"
    "  --synchronous S  NORMAL or FULL\n"
    "  --rate R         0 to 1000000 commits per second; 0: saturating\n"
    "  --readers N      0 to 1000\n"
    "  --writers N      1 to 100\n"
    "profiles and scale:\n"
    "  --pairs N        10 to 1000 pairs of measurements, bare and loaded (default 10)\n"
    "profiles:\n"
    "  --profile NAME   this one alone\n"
    "  --overrides JSON of the profile, as wal_configure takes them: which PRAGMA does it?\n"
    "scale:\n"
    "  --databases N,N  so many databases in one process (default 1,10,100,1000)\n"
    "  --shell PATH     the sqlite3 shell (default: sqlite3 in PATH)\n";

// An error's message names the argument, the value given and what is allowed.
Result<Options> ParseOptions(const std::vector<std::string>& arguments);

}  // namespace walmanager::bench
