#include "tests/bench/options.h"

#include <algorithm>
#include <charconv>
#include <filesystem>

namespace walmanager::bench {
namespace {

struct Number {
  const char* name;
  int Options::*value;
  int minimum, maximum;
};

constexpr Number kNumbers[] = {
    {"--rounds", &Options::rounds, 1, 1000},
    {"--commits", &Options::commits_per_segment, 1000, 10'000'000},
    {"--rate", &Options::rate, 1, 1'000'000},
};

Status SetNumber(const Number& number, const std::string& text, Options& options) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < number.minimum ||
      value > number.maximum) {
    return Error{std::string(number.name) + ": '" + text + "' is not an integer from " +
                 std::to_string(number.minimum) + " to " + std::to_string(number.maximum)};
  }
  options.*number.value = value;
  return Ok{};
}

Status SetText(const std::string& name, const std::string& text, Options& options) {
  if (text.empty()) return Error{name + ": '' is not allowed: give a name"};
  if (name == "--strategy") {
    // The default strategy is measured anyway.
    auto& all = options.strategies;
    if (std::find(all.begin(), all.end(), text) == all.end()) all.push_back(text);
  } else if (name == "--json") {
    options.json_file = text;
  } else {
    if (!std::filesystem::is_directory(text)) {
      return Error{"--dir: '" + text + "' is not an existing directory"};
    }
    options.directory = text;
  }
  return Ok{};
}

}  // namespace

Result<Options> ParseOptions(const std::vector<std::string>& arguments) {
  Options options;
  bool part_given = false;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string& name = arguments[i];
    if (name == "commits" || name == "hook" || name == "load" || name == "all") {
      if (part_given) return Error{"'" + name + "': give one of commits, hook, load, all"};
      part_given = true;
      options.commits = name == "commits" || name == "all";
      options.hook = name == "hook" || name == "all";
      options.load = name == "load" || name == "all";
      continue;
    }
    if (name == "--control") {
      options.control = true;
      continue;
    }
    const auto number = std::find_if(std::begin(kNumbers), std::end(kNumbers),
                                     [&](const Number& known) { return name == known.name; });
    const bool is_number = number != std::end(kNumbers);
    if (!is_number && name != "--strategy" && name != "--json" && name != "--dir") {
      return Error{"'" + name +
                   "' is not one of commits, hook, load, all, --rounds, --commits, --rate, "
                   "--strategy, --control, --json, --dir"};
    }
    if (i + 1 == arguments.size()) return Error{name + ": a value must follow"};
    const std::string& value = arguments[++i];
    Status status = is_number ? SetNumber(*number, value, options) : SetText(name, value, options);
    if (!status.ok()) return status.error();
  }
  return options;
}

}  // namespace walmanager::bench
