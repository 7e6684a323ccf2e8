#include "tests/bench/short_lives_bench.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <memory>

#include "tests/bench/comparison.h"
#include "tests/bench/message_table.h"
#include "tests/bench/statistics.h"
#include "tests/bench/turns.h"

extern char** environ;

namespace walmanager::bench {
namespace {

constexpr std::size_t kRequestsPerBlock = 20;
// A process that lives on has threads of walmanager, and one in its first second has not.
constexpr useconds_t kFirstSecondUs = 1'100'000;

// Milliseconds from the start of the program to its end; nullopt where it cannot be run.
std::optional<double> RunProgram(const std::string& program, std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), program);
  std::vector<char*> pointers;
  for (std::string& argument : arguments) pointers.push_back(argument.data());
  pointers.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  pid_t child = 0;
  const std::uint64_t start = Now();
  const int error =
      posix_spawnp(&child, program.c_str(), &actions, nullptr, pointers.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) return std::nullopt;
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  const double ms = static_cast<double>(Now() - start) / 1e6;
  if (status != 0) Fail(program + ": ended with status " + std::to_string(status));
  return ms;
}

void MeasureShells(const Options& options, const std::string& directory, Table& table) {
  if (!RunProgram(options.shell, {"--version"})) {
    table.rows.push_back(
        Comparison::LeftOut("sqlite3 shell", "'" + options.shell + "' cannot be run"));
    return;
  }
  const ScratchDirectory scratch(directory);
  const auto path = [&](std::size_t variant) {
    return scratch.path() + "/" + std::to_string(variant) + ".db";
  };
  for (const Variant variant : kVariants) MakeDatabase(path(variant));
  const struct {
    const char* figure;
    const char* sql;
    double limit_ms;
  } statements[] = {{"sqlite3 shell, one SELECT, ms", kSelect, 1.5},
                    {"sqlite3 shell, one INSERT, ms", kInsert, 3}};
  for (const auto& statement : statements) {
    Comparison comparison(statement.figure, {.difference = statement.limit_ms});
    for (std::size_t i = 0; i <= 2 * static_cast<std::size_t>(options.pairs); ++i) {
      Turn turn{};
      for (std::size_t step = 0; step < std::size(kVariants); ++step) {
        const std::size_t variant = (step + i) % std::size(kVariants);
        std::vector<std::string> arguments{"-batch", "-init", "/dev/null"};
        if (variant == kLoaded)
          arguments.insert(arguments.end(), {"-cmd", ".load '" WALMANAGER_SO "'"});
        arguments.insert(arguments.end(), {path(variant), statement.sql});
        turn[variant] = RunProgram(options.shell, arguments).value_or(0);
      }
      if (i > 0) comparison.Add(turn);  // the first makes what later ones find
    }
    table.rows.push_back(comparison.Row());
  }
}

enum class Load { kNever, kByConnection, kByProcess };

// A connection that lives as long as a request: open, read, two commits, close.
double RequestUs(const std::string& path, Load load) {
  const std::uint64_t start = Now();
  {
    Db db(path);
    if (load == Load::kByConnection) db.LoadExtension();
    db.Query(kSelect);
    db.Exec(kInsert);
    db.Exec(kInsert);
  }
  return static_cast<double>(Now() - start) / 1e3;
}

void MeasureRequests(const Options& options, const std::string& directory, Load load,
                     const char* figure, Table& table) {
  const ScratchDirectory scratch(directory);
  const auto path = [&](Variant variant) {
    return scratch.path() + "/" + std::to_string(variant) + ".db";
  };
  for (const Variant variant : kVariants) MakeDatabase(path(variant));
  Processes processes([&](Variant variant) -> SteppingProcess::Step {
    const auto first = std::make_shared<Db>(":memory:");
    const Load how = variant == kLoaded ? load : Load::kNever;
    if (how == Load::kByConnection) first->LoadExtension();
    if (how == Load::kByProcess) first->LoadExtension(WALMANAGERPROCESS_SO);
    usleep(kFirstSecondUs);
    return [first, how, path = path(variant)](int, std::size_t) -> std::vector<double> {
      std::vector<double> us;
      for (std::size_t i = 0; i < kRequestsPerBlock; ++i) us.push_back(RequestUs(path, how));
      return {Median(us).value_or(0)};
    };
  });
  Comparison comparison(figure, {.ratio = 1.25, .difference = 300});
  processes.Run(0);
  for (int i = 0; i < 2 * options.pairs; ++i) comparison.Add(processes.Run(0)[0]);
  table.rows.push_back(comparison.Row());
}

}  // namespace

void RunShortLivesBench(const Options& options, Report& report) {
  const ScratchDirectory scratch(options.directory);
  Table table = Comparison::MakeTable(
      "short_lives", "A process, and a connection in a process that lives on, for a moment each");
  MeasureShells(options, scratch.path(), table);
  MeasureRequests(options, scratch.path(), Load::kByProcess,
                  "open, read, two commits, close, loaded by the process, us", table);
  MeasureRequests(options, scratch.path(), Load::kByConnection,
                  "open, read, two commits, close, loaded by each connection, us", table);
  report.Add(table);
}

}  // namespace walmanager::bench
