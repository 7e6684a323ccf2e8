#include "tests/bench/comparison.h"

#include <algorithm>
#include <sstream>

#include "tests/bench/statistics.h"

namespace walmanager::bench {
namespace {

constexpr double kMostSpread = 0.1;

// Of one variant; ratios and differences are to bare SQLite in the same turn.
struct Column {
  double median = 0, ratio = 0, difference = 0;          // medians
  double ratio_quartiles = 0, difference_quartiles = 0;  // distances
};

Column Of(const std::vector<Turn>& turns, Variant variant) {
  std::vector<double> values, ratios, differences;
  for (const Turn& turn : turns) {
    values.push_back(turn[variant]);
    differences.push_back(turn[variant] - turn[kBare]);
    if (turn[kBare] > 0) ratios.push_back(turn[variant] / turn[kBare]);
  }
  return {Median(values).value_or(0), Median(ratios).value_or(0), Median(differences).value_or(0),
          QuartileDistance(ratios), QuartileDistance(differences)};
}

std::string Text(const Asked& asked) {
  std::ostringstream text;
  if (asked.ratio) text << "<= " << *asked.ratio << " x";
  if (asked.ratio && asked.difference) text << " or ";
  if (asked.difference) text << "<= " << *asked.difference << " more";
  return text.str();
}

}  // namespace

Table::Row Comparison::Row() const {
  const Column bare = Of(turns_, kBare), again = Of(turns_, kBareAgain),
               loaded = Of(turns_, kLoaded);
  double spread = again.ratio_quartiles;
  if (!asked_.ratio) {
    spread = again.difference_quartiles / std::max(bare.median, asked_.difference.value_or(0));
  }
  const bool met = (asked_.ratio && loaded.ratio <= *asked_.ratio + spread / 2) ||
                   (asked_.difference &&
                    loaded.difference <= *asked_.difference + again.difference_quartiles / 2);
  const char* result = !asked_.judged         ? "-"
                       : spread > kMostSpread ? "not decidable here"
                       : met                  ? "met"
                                              : "missed";
  return {{figure_, Text(asked_), result},
          {bare.median, loaded.median, asked_.ratio ? std::optional(loaded.ratio) : std::nullopt,
           loaded.difference, spread * 100, static_cast<double>(turns_.size())}};
}

Table::Row Comparison::LeftOut(const std::string& figure, const std::string& why) {
  return {{figure, "-", "left out: " + why}, std::vector<std::optional<double>>(6)};
}

Table Comparison::MakeTable(const std::string& name, const std::string& title) {
  return {name,
          title,
          {"figure", "asked", "result"},
          {"bare", "loaded", "ratio", "difference", "spread_percent", "pairs"},
          {}};
}

}  // namespace walmanager::bench
