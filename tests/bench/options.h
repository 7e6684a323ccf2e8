// The command line of wal_bench.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ext/core/result.h"

namespace walmanager::bench {

struct Options {
  bool commits = true, hook = true, load = true;  // which parts run
  int rounds = 5;
  int commits_per_segment = 40'000;
  int rate = 0;  // commits per second; 0: as fast as they go
  std::vector<std::string> strategies{"conversation_workload"};
  bool control = false;  // SQLite a second time, to see what the machine's noise alone does
  std::string json_file;
  std::string directory;  // where databases are made; empty: the system's temporary directory
};

inline constexpr char kUsage[] =
    "wal_bench [commits|hook|load|all] [--rounds N] [--commits N] [--rate R] [--strategy NAME]...\n"
    "          [--control] [--json FILE] [--dir DIR]\n"
    "  commits          commit latency and throughput of strategies against SQLite's "
    "autocheckpoint\n"
    "  hook             nanoseconds added to a commit when nothing is due\n"
    "  load             milliseconds to load the extension\n"
    "  all              the three of them (default)\n"
    "  --rounds N       1 to 1000 rounds in which the variants alternate (default 5)\n"
    "  --commits N      1000 to 10000000 commits of a segment, two a round (default 40000)\n"
    "  --rate R         1 to 1000000 commits per second; without it as fast as they go\n"
    "  --strategy NAME  a strategy to measure besides conversation_workload; may be repeated\n"
    "  --control        SQLite alone a second time, as a measure of noise\n"
    "  --json FILE      writes the tables as JSON too\n"
    "  --dir DIR        an existing directory for the databases of `commits` and `load`\n";

// An error's message names the argument, the value given and what is allowed.
Result<Options> ParseOptions(const std::vector<std::string>& arguments);

}  // namespace walmanager::bench
