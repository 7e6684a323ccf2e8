// A value of SQL as the extension's tables and functions exchange it with SQLite: NULL, INTEGER,
// REAL or TEXT. A blob is kept as text of its bytes, and is_blob() is true.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace walmanager {

// Whether a terminal would obey some of it: U+0000 to U+001F, U+007F to U+009F.
bool HasControlCharacters(std::string_view text);

// With '?' in the place of each of their bytes: for names that another program chose.
std::string WithoutControlCharacters(std::string text);

// Text in quotes, cut after 60 bytes, with \0, \n or \x1b in the place of such a byte: for
// messages.
std::string ShownText(std::string_view text);

class Value {
 public:
  Value() = default;
  Value(std::nullopt_t) {}                                                  // NOLINT
  Value(bool value) : state_(std::int64_t{value}) {}                        // NOLINT
  Value(int value) : state_(std::int64_t{value}) {}                         // NOLINT
  Value(std::int64_t value) : state_(value) {}                              // NOLINT
  Value(std::uint32_t value) : state_(std::int64_t{value}) {}               // NOLINT
  Value(std::uint64_t value) : state_(static_cast<std::int64_t>(value)) {}  // NOLINT
  Value(double value) : state_(value) {}                                    // NOLINT
  Value(std::string value) : state_(std::move(value)) {}                    // NOLINT
  Value(const char* value) : state_(std::string(value)) {}                  // NOLINT
  template <typename T>
  Value(const std::optional<T>& value) {  // NOLINT: unknown is NULL
    if (value) *this = Value(*value);
  }
  static Value Blob(std::string bytes) {
    Value value(std::move(bytes));
    value.blob_ = true;
    return value;
  }

  bool is_null() const { return std::holds_alternative<std::monostate>(state_); }
  bool is_blob() const { return blob_; }
  const std::int64_t* integer() const { return std::get_if<std::int64_t>(&state_); }
  const double* real() const { return std::get_if<double>(&state_); }
  // nullptr for a blob.
  const std::string* text() const { return blob_ ? nullptr : std::get_if<std::string>(&state_); }
  const std::string* blob() const { return blob_ ? std::get_if<std::string>(&state_) : nullptr; }

  // As it would be written in SQL, cut after 60 bytes: for messages.
  std::string Shown() const;

 private:
  std::variant<std::monostate, std::int64_t, double, std::string> state_;
  bool blob_ = false;
};

}  // namespace walmanager
