#include "tests/bench/options.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <functional>
#include <iterator>
#include <span>
#include <sstream>
#include <type_traits>

namespace walmanager::bench {
namespace {

using Mode = Options::Mode;

struct ModeName {
  const char* name;
  Mode mode;
};
constexpr ModeName kModes[] = {{"figures", Mode::kFigures},
                               {"matrix", Mode::kMatrix},
                               {"conversation", Mode::kConversation},
                               {"hook", Mode::kHook},
                               {"statements", Mode::kStatements},
                               {"load", Mode::kLoad},
                               {"pool", Mode::kPool},
                               {"backup", Mode::kBackup},
                               {"profiles", Mode::kProfiles},
                               {"scale", Mode::kScale},
                               {"machines", Mode::kMachines}};

std::string List(std::span<const char* const> names) {
  std::string list;
  for (const char* name : names) list += (list.empty() ? "" : ", ") + std::string(name);
  return list;
}

// A value, or an error that does not name the argument yet.
using Setter = std::function<Status(Options&, const std::string&)>;

template <typename T, typename Member>
Setter Number(Member Options::*member, T minimum, T maximum) {
  return [=](Options& options, const std::string& text) -> Status {
    T value{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size() ||
        !(value >= minimum && value <= maximum)) {
      std::ostringstream message;
      message << "is not " << (std::is_integral_v<T> ? "an integer" : "a number") << " from "
              << minimum << " to " << maximum;
      return Error{message.str()};
    }
    options.*member = value;
    return Ok{};
  };
}

template <typename Member>
Setter OneOf(Member Options::*member, std::span<const char* const> allowed) {
  return [=](Options& options, const std::string& text) -> Status {
    if (std::find(allowed.begin(), allowed.end(), text) == allowed.end()) {
      return Error{"is not one of " + List(allowed)};
    }
    options.*member = text;
    return Ok{};
  };
}

Status AddStrategy(Options& options, const std::string& text) {
  auto& all = options.strategies;
  if (text.empty()) return Error{"is not a name"};
  if (options.mode == Mode::kFigures && !all.empty()) {
    return Error{"comes second: `figures` takes one strategy"};
  }
  if (std::find(all.begin(), all.end(), text) == all.end()) all.push_back(text);
  return Ok{};
}

Status SetJsonFile(Options& options, const std::string& text) {
  if (text.empty()) return Error{"is not a file name"};
  options.json_file = text;
  return Ok{};
}

Status SetDirectory(Options& options, const std::string& text) {
  if (!std::filesystem::is_directory(text)) return Error{"is not an existing directory"};
  options.directory = text;
  return Ok{};
}

Status SetDatabases(Options& options, const std::string& text) {
  options.databases.clear();
  std::istringstream list(text);
  for (std::string count; std::getline(list, count, ',');) {
    int number = 0;
    const auto [end, error] = std::from_chars(count.data(), count.data() + count.size(), number);
    if (error != std::errc() || end != count.data() + count.size() || number < 1 ||
        number > 100'000) {
      return Error{"is not a list of integers from 1 to 100000"};
    }
    options.databases.push_back(number);
  }
  return options.databases.empty() ? Status(Error{"is not a list of integers"}) : Status(Ok{});
}

Status SetOverrides(Options& options, const std::string& text) {
  if (!text.starts_with('{') || text.find('\'') != std::string::npos) {
    return Error{"is not a JSON object"};
  }
  options.overrides = text;
  return Ok{};
}

Status SetShell(Options& options, const std::string& text) {
  if (text.empty()) return Error{"is not a program"};
  options.shell = text;
  return Ok{};
}

constexpr const char* kWorkloadNames[] = {"append", "indexed"};
constexpr const char* kSynchronous[] = {"NORMAL", "FULL"};

struct Argument {
  const char* name;
  std::vector<Mode> modes;  // that take it; empty: all
  Setter set;               // empty: it has no value
};

const std::vector<Argument>& Arguments() {
  static const std::vector<Argument> kArguments = {
      {"--rounds",
       {Mode::kFigures, Mode::kMatrix, Mode::kConversation, Mode::kHook, Mode::kStatements,
        Mode::kLoad, Mode::kPool, Mode::kBackup, Mode::kMachines},
       Number(&Options::rounds, 1, 1000)},
      {"--json", {}, SetJsonFile},
      {"--dir", {}, SetDirectory},
      {"--cpus", {}, Number(&Options::cpus, 1, 1024)},
      {"--busy", {}, Number(&Options::busy, 0, 1024)},
      {"--scale",
       {Mode::kFigures, Mode::kMatrix, Mode::kConversation, Mode::kPool, Mode::kProfiles,
        Mode::kScale, Mode::kMachines},
       Number(&Options::scale, 0.001, 1000.0)},
      {"--strategy", {Mode::kFigures, Mode::kMatrix}, AddStrategy},
      {"--control", {Mode::kFigures, Mode::kMatrix}, nullptr},
      {"--case", {Mode::kFigures}, OneOf(&Options::only_case, kCaseNames)},
      {"--case", {Mode::kMachines}, OneOf(&Options::only_case, kMachineCaseNames)},
      {"--hold", {Mode::kFigures}, Number(&Options::hold_s, 1, 3600)},
      {"--workload", {Mode::kMatrix}, OneOf(&Options::workload, kWorkloadNames)},
      {"--synchronous",
       {Mode::kMatrix, Mode::kMachines},
       OneOf(&Options::synchronous, kSynchronous)},
      {"--rate", {Mode::kMatrix}, Number(&Options::rate, 0, 1'000'000)},
      {"--readers", {Mode::kMatrix}, Number(&Options::readers, 0, 1000)},
      {"--writers", {Mode::kMatrix}, Number(&Options::writers, 1, 100)},
      {"--databases", {Mode::kScale}, SetDatabases},
      {"--pairs", {Mode::kProfiles, Mode::kScale}, Number(&Options::pairs, 10, 1000)},
      {"--profile", {Mode::kProfiles}, OneOf(&Options::only_profile, kProfileNames)},
      {"--overrides", {Mode::kProfiles}, SetOverrides},
      {"--shell", {Mode::kScale}, SetShell},
  };
  return kArguments;
}

Error Unknown(const std::string& text) {
  std::vector<const char*> names;
  for (const ModeName& mode : kModes) names.push_back(mode.name);
  for (const Argument& argument : Arguments()) names.push_back(argument.name);
  return Error{"'" + text + "' is not one of " + List(names)};
}

Error WrongMode(const Argument& argument) {
  std::vector<const char*> names;
  for (const ModeName& mode : kModes) {
    const auto& modes = argument.modes;
    if (std::find(modes.begin(), modes.end(), mode.mode) != modes.end()) names.push_back(mode.name);
  }
  return Error{std::string(argument.name) + ": only for " + List(names)};
}

}  // namespace

Result<Options> ParseOptions(const std::vector<std::string>& arguments) {
  Options options;
  auto next = arguments.begin();
  // The mode comes first: it decides what may follow.
  if (next != arguments.end() && !next->starts_with("--")) {
    const auto mode = std::find_if(std::begin(kModes), std::end(kModes),
                                   [&](const ModeName& known) { return *next == known.name; });
    if (mode == std::end(kModes)) return Unknown(*next);
    options.mode = mode->mode;
    ++next;
  }
  for (; next != arguments.end(); ++next) {
    const auto& all = Arguments();
    const auto takes_it = [&](const Argument& known) {
      const auto& modes = known.modes;
      return modes.empty() || std::find(modes.begin(), modes.end(), options.mode) != modes.end();
    };
    const auto is_named = [&](const Argument& known) { return *next == known.name; };
    const auto argument = std::find_if(all.begin(), all.end(), [&](const Argument& known) {
      return is_named(known) && takes_it(known);
    });
    if (argument == all.end()) {
      const auto of_another = std::find_if(all.begin(), all.end(), is_named);
      return of_another == all.end() ? Unknown(*next) : WrongMode(*of_another);
    }
    if (!argument->set) {
      options.control = true;
      continue;
    }
    if (++next == arguments.end())
      return Error{std::string(argument->name) + ": a value must follow"};
    const Status status = argument->set(options, *next);
    if (!status.ok()) {
      return Error{std::string(argument->name) + ": '" + *next + "' " + status.error().message};
    }
  }
  return options;
}

}  // namespace walmanager::bench
