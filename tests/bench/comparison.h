// A figure that is asked of the extension, as a ratio or a difference to bare SQLite, and the
// verdict on it. The machine's noise is part of the verdict: bare SQLite is measured twice in every
// turn, and how far the two are apart says what the third value is worth.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "tests/bench/report.h"
#include "tests/bench/turns.h"

namespace walmanager::bench {

// At most; where both are given, either is enough.
struct Asked {
  std::optional<double> ratio = std::nullopt;
  std::optional<double> difference = std::nullopt;  // in the unit of the figure
  bool judged = true;                               // false: the figure is only shown
};

class Comparison {
 public:
  // `figure` says its unit.
  Comparison(std::string figure, Asked asked) : figure_(std::move(figure)), asked_(asked) {}
  void Add(const Turn& turn) { turns_.push_back(turn); }

  // The spread is the distance between the quartiles of bare SQLite against itself: of the ratios,
  // or of the differences where no ratio is asked. Of those 100 % is the bare value, or the
  // difference that is asked where that is larger. A figure is met if the median of the pairs is
  // within what is asked and half the spread. With a spread of more than 10 % it is not decidable
  // here.
  Table::Row Row() const;

  // A row in the place of one that could not be measured.
  static Table::Row LeftOut(const std::string& figure, const std::string& why);
  // Without rows.
  static Table MakeTable(const std::string& name, const std::string& title);

 private:
  std::string figure_;
  Asked asked_;
  std::vector<Turn> turns_;
};

}  // namespace walmanager::bench
