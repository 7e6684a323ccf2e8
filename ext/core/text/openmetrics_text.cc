#include "ext/core/text/openmetrics_text.h"

#include <algorithm>
#include <cmath>
#include <type_traits>
#include <utility>

#include "ext/core/base/real_text.h"
#include "ext/core/base/utf8.h"

namespace walmanager {
namespace {

const char* TypeWord(MetricType type) {
  switch (type) {
    case MetricType::kCounter:
      return "counter";
    case MetricType::kGauge:
      return "gauge";
    case MetricType::kHistogram:
      return "histogram";
    case MetricType::kInfo:
      return "info";
    case MetricType::kStateSet:
      return "stateset";
  }
  return "unknown";
}

void AppendEscaped(std::string& text, std::string_view value) {
  constexpr char kDigits[] = "0123456789abcdef";
  const auto byte = [&](std::size_t at) { return static_cast<unsigned char>(value[at]); };
  for (std::size_t at = 0; at < value.size();) {
    const std::size_t bytes = Utf8Bytes(value, at);
    const bool control = (bytes == 1 && (byte(at) < 0x20 || byte(at) == 0x7f)) ||
                         (bytes == 2 && byte(at) == 0xc2 && byte(at + 1) < 0xa0);
    if (value[at] == '\n') {
      text += "\\n";
    } else if (value[at] == '"' || value[at] == '\\') {
      (text += '\\') += value[at];
    } else if (bytes == 0 || control) {
      for (std::size_t i = at; i < at + std::max<std::size_t>(bytes, 1); ++i) {
        ((text += "\\\\x") += kDigits[byte(i) >> 4]) += kDigits[byte(i) & 15];
      }
    } else {
      text += value.substr(at, bytes);
    }
    at += std::max<std::size_t>(bytes, 1);
  }
}

template <typename Number>
std::string NumberText(Number number) {
  if constexpr (std::is_integral_v<Number>) return std::to_string(number);
  std::string text;
  AppendReal(text, number);
  return text;
}

// The value of a label le is a number with a point or an exponent.
std::string BoundText(double bound) {
  std::string text = NumberText(bound);
  if (text.find_first_of(".e") == std::string::npos) text += ".0";
  return text;
}

}  // namespace

MetricLabels& MetricLabels::Add(std::string_view name, std::string_view value) {
  if (!text_.empty()) text_ += ',';
  (text_ += name) += "=\"";
  AppendEscaped(text_, value);
  text_ += '"';
  return *this;
}

void OpenMetricsText::Begin(MetricFamily family) {
  family_ = std::move(family);
  begun_ = false;
}

void OpenMetricsText::Write(std::string_view suffix, const std::string& labels,
                            std::string_view number) {
  if (!begun_) {
    begun_ = true;
    (((text_ += "# TYPE ") += family_.name) += ' ') += TypeWord(family_.type);
    if (!family_.unit.empty()) (((text_ += "\n# UNIT ") += family_.name) += ' ') += family_.unit;
    ((text_ += "\n# HELP ") += family_.name) += ' ';
    AppendEscaped(text_, family_.help);
    text_ += '\n';
  }
  (text_ += family_.name) += suffix;
  if (!labels.empty()) ((text_ += '{') += labels) += '}';
  ((text_ += ' ') += number) += '\n';
}

void OpenMetricsText::Add(const MetricLabels& labels, std::int64_t number) {
  Write(family_.type == MetricType::kCounter ? "_total" : "", labels.text(), NumberText(number));
}

void OpenMetricsText::Add(const MetricLabels& labels, std::uint64_t number) {
  Write(family_.type == MetricType::kCounter ? "_total" : "", labels.text(), NumberText(number));
}

void OpenMetricsText::Add(const MetricLabels& labels, double number) {
  if (!std::isfinite(number)) return;
  Write(family_.type == MetricType::kCounter ? "_total" : "", labels.text(), NumberText(number));
}

void OpenMetricsText::AddInfo(const MetricLabels& labels) { Write("_info", labels.text(), "1"); }

void OpenMetricsText::AddState(const MetricLabels& labels, std::span<const std::string_view> states,
                               std::string_view state) {
  for (const std::string_view each : states) {
    MetricLabels whole = labels;
    Write("", whole.Add(family_.name, each).text(), each == state ? "1" : "0");
  }
}

void OpenMetricsText::AddHistogram(const MetricLabels& labels, const MetricHistogram& histogram) {
  for (const HistogramBound& bound : histogram.bounds) {
    MetricLabels whole = labels;
    Write("_bucket", whole.Add("le", BoundText(bound.le)).text(), NumberText(bound.count));
  }
  MetricLabels whole = labels;
  Write("_bucket", whole.Add("le", "+Inf").text(), NumberText(histogram.count));
  Write("_count", labels.text(), NumberText(histogram.count));
  Write("_sum", labels.text(), NumberText(histogram.sum));
}

std::string OpenMetricsText::Finish() {
  begun_ = false;
  text_ += "# EOF";
  return std::exchange(text_, {});
}

}  // namespace walmanager
