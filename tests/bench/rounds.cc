#include "tests/bench/rounds.h"

#include "tests/bench/statistics.h"

namespace walmanager::bench {

std::optional<double> MedianOf(const std::vector<std::optional<double>>& values) {
  std::vector<double> known;
  for (const auto& value : values) {
    if (value) known.push_back(*value);
  }
  return Median(std::move(known));
}

std::optional<double> MedianOf(const Rounds& rounds, const std::string& figure) {
  std::vector<std::optional<double>> values;
  for (const Figures& round : rounds) {
    const auto found = round.find(figure);
    values.push_back(found == round.end() ? std::nullopt : std::optional(found->second));
  }
  return MedianOf(values);
}

std::vector<std::optional<double>> Ratios(const Rounds& rounds, const Rounds& base,
                                          const std::string& figure) {
  std::vector<std::optional<double>> ratios(rounds.size());
  for (std::size_t i = 0; i < rounds.size(); ++i) {
    const auto own = rounds[i].find(figure), other = base[i].find(figure);
    if (own != rounds[i].end() && other != base[i].end() && other->second > 0) {
      ratios[i] = own->second / other->second;
    }
  }
  return ratios;
}

Table::Row RowOf(std::vector<std::string> labels, const Rounds& rounds,
                 const std::vector<std::string>& figures) {
  Table::Row row{std::move(labels), {}};
  for (const std::string& figure : figures) row.numbers.push_back(MedianOf(rounds, figure));
  return row;
}

}  // namespace walmanager::bench
