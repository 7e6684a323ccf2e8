#include "tests/bench/report.h"

#include <sqlite3.h>
#include <sys/utsname.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <thread>

#include "ext/core/base/json_writer.h"

namespace walmanager::bench {
namespace {

// Four significant digits where they are needed; JSON has them all.
std::string Text(const std::optional<double>& number) {
  if (!number) return "-";
  const double size = std::fabs(*number);
  const int decimals = size >= 1000 ? 0 : size >= 100 ? 1 : size >= 10 ? 2 : 3;
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", decimals, *number);
  return text;
}

std::string FirstLine(const char* path, const std::string& start) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (line.compare(0, start.size(), start) != 0) continue;
    const std::size_t colon = start.empty() ? std::string::npos : line.find(": ");
    return colon == std::string::npos ? line : line.substr(colon + 2);
  }
  return "unknown";
}

std::string JsonArray(const std::vector<std::string>& items) {
  std::string array = "[";
  for (const std::string& item : items) (array += array.size() > 1 ? "," : "") += item;
  return array + "]";
}

std::string JsonOf(const Table& table) {
  std::vector<std::string> rows;
  for (const Table::Row& row : table.rows) {
    JsonObject object;
    for (std::size_t i = 0; i < table.label_columns.size(); ++i) {
      object.Add(table.label_columns[i], row.labels[i]);
    }
    for (std::size_t i = 0; i < table.number_columns.size(); ++i) {
      object.Add(table.number_columns[i], row.numbers[i]);
    }
    rows.push_back(object.text());
  }
  return "\"" + table.name + "\":" + JsonArray(rows);
}

std::string JsonOf(const Target& target) {
  return JsonObject()
      .Add("case", target.name)
      .Add("figure", target.figure)
      .Add("measured", target.measured)
      .Add("bound", target.bound == Target::Bound::kAtLeast ? "at_least" : "at_most")
      .Add("limit", target.limit)
      .Add("met", target.met())
      .text();
}

using Lines = std::vector<std::vector<std::string>>;

// In columns: the first `labels` to the left, the others, numbers, to the right.
void PrintLines(const std::string& title, const Lines& lines, std::size_t labels) {
  std::vector<int> widths(lines[0].size());
  for (const auto& line : lines) {
    for (std::size_t i = 0; i < line.size(); ++i) {
      widths[i] = std::max(widths[i], static_cast<int>(line[i].size()));
    }
  }
  std::printf("\n%s\n", title.c_str());
  for (const auto& line : lines) {
    for (std::size_t i = 0; i < line.size(); ++i) {
      std::printf("  %*s", i < labels ? -widths[i] : widths[i], line[i].c_str());
    }
    std::printf("\n");
  }
  std::fflush(stdout);
}

}  // namespace

void Report::PrintMachine() const {
  for (const std::string& line : machine) std::printf("%s\n", line.c_str());
}

void Report::Print(const Table& table) const {
  std::vector<std::size_t> columns;
  for (std::size_t i = 0; i < table.number_columns.size(); ++i) {
    const auto known = [i](const Table::Row& row) { return row.numbers[i].has_value(); };
    if (std::any_of(table.rows.begin(), table.rows.end(), known)) columns.push_back(i);
  }
  Lines lines{table.label_columns};
  for (const std::size_t i : columns) lines[0].push_back(table.number_columns[i]);
  for (const Table::Row& row : table.rows) {
    auto& line = lines.emplace_back(row.labels);
    for (const std::size_t i : columns) line.push_back(Text(row.numbers[i]));
  }
  PrintLines(table.title, lines, table.label_columns.size());
}

void Report::Add(const Table& table) {
  Print(table);
  const auto same = std::find_if(tables.begin(), tables.end(),
                                 [&](const Table& known) { return known.name == table.name; });
  if (same == tables.end()) {
    tables.push_back(table);
  } else {
    same->rows.insert(same->rows.end(), table.rows.begin(), table.rows.end());
  }
}

void Report::PrintTargets() const {
  if (targets.empty()) return;
  Lines lines{{"case", "figure", "met", "measured", "limit"}};
  for (const Target& target : targets) {
    const bool at_least = target.bound == Target::Bound::kAtLeast;
    lines.push_back({target.name, target.figure, target.met() ? "met" : "MISSED",
                     Text(target.measured), (at_least ? ">= " : "<= ") + Text(target.limit)});
  }
  PrintLines("Targets", lines, 3);
}

std::string Report::Json() const {
  JsonObject about;
  for (const std::string& line : machine) {
    const std::size_t colon = line.find(": ");
    about.Add(line.substr(0, colon), line.substr(colon + 2));
  }
  std::string text = "{\"machine\":" + about.text();
  for (const Table& table : tables) text += ",\n" + JsonOf(table);
  std::vector<std::string> all;
  for (const Target& target : targets) all.push_back(JsonOf(target));
  return text + ",\n\"targets\":" + JsonArray(all) + "}\n";
}

std::vector<std::string> DescribeMachine() {
  utsname system{};
  uname(&system);
  return {"processor: " + FirstLine("/proc/cpuinfo", "model name"),
          "cores: " + std::to_string(std::thread::hardware_concurrency()),
          std::string("system: ") + system.sysname + " " + system.release,
          std::string("sqlite: ") + sqlite3_libversion(),
          "load_average: " + FirstLine("/proc/loadavg", "")};
}

}  // namespace walmanager::bench
