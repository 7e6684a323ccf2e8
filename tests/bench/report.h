// The results of a benchmark: tables for people, and the same as JSON for programs, from one
// source.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace walmanager::bench {

// Rows of labels and numbers. Every column's name is its JSON key and says its unit; in the text
// the same name is the heading.
struct Table {
  struct Row {
    std::vector<std::string> labels;
    std::vector<std::optional<double>> numbers;
  };
  std::string name;   // its JSON key
  std::string title;  // one line: what was measured, how
  std::vector<std::string> label_columns;
  std::vector<std::string> number_columns;
  std::vector<Row> rows;
};

// A promised figure, and the measured one.
struct Target {
  enum class Bound { kAtLeast, kAtMost };
  std::string name;    // of the case
  std::string figure;  // what was measured, and against what
  std::optional<double> measured;
  Bound bound;
  double limit;
  // A figure that could not be measured is not met.
  bool met() const {
    return measured && (bound == Bound::kAtLeast ? *measured >= limit : *measured <= limit);
  }
};

struct Report {
  std::vector<std::string> machine;  // "name: value", as text and as JSON
  std::vector<Table> tables;
  std::vector<Target> targets;

  void PrintMachine() const;
  // Without the columns that no row has a number for; JSON has them.
  void Print(const Table& table) const;
  // Prints it and keeps its rows for the JSON, with those of an earlier table of that name.
  void Add(const Table& table);
  void PrintTargets() const;
  std::string Json() const;
};

// The machine on which the figures were measured; without it they say nothing.
std::vector<std::string> DescribeMachine();

}  // namespace walmanager::bench
