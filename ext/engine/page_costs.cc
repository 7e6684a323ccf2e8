#include "ext/engine/page_costs.h"

#include <algorithm>
#include <array>
#include <vector>

#include "ext/engine/sqlite.h"
#include "ext/engine/wal_index.h"
#include "ext/system/clock.h"

namespace walmanager {
namespace {

constexpr std::size_t kRounds = 5;
constexpr std::size_t kPagesOfARound = 16;  // about as many as a few small statements read
constexpr std::size_t kPages = kRounds * kPagesOfARound;
// From the system's cache SQLite reads a page in 0.3 to 3 microseconds, in 5 where a sandbox
// looks at system calls, from most disks in 50 and more.
constexpr std::uint64_t kColdPageNs = 40'000;
// A thread that loses the processor makes one read take long, a disk makes most.
constexpr std::size_t kMostColdPages = kPages / 10;

template <std::size_t kCount>
double MedianUs(std::array<std::uint64_t, kCount> ns) {
  std::nth_element(ns.begin(), ns.begin() + kCount / 2, ns.end());
  return static_cast<double>(ns[kCount / 2]) / 1e3;
}

// In each round 16 pages are read, and then mapped, so that a page is in the system's cache when it
// is mapped. Medians of single pages leave out those that were not there when they were read, and
// times in which another thread had the processor.
class Measurement {
 public:
  Measurement(sqlite3* db, const char* schema, sqlite3_file* file, std::int64_t page_size,
              std::int64_t pages)
      : db_(db),
        schema_(schema),
        file_(file),
        page_size_(page_size),
        pages_(pages),
        copy_(static_cast<std::size_t>(page_size)) {}
  ~Measurement() { SetMapped(0); }
  Measurement(const Measurement&) = delete;
  Measurement& operator=(const Measurement&) = delete;

  Result<PageCosts> Run() {
    for (std::size_t round = 0; round < kRounds; ++round) {
      if (Status status = Read(round); !status.ok()) return status.error();
      if (Status status = Map(round); !status.ok()) return status.error();
    }
    return PageCosts{MedianUs(read_ns_), MedianUs(touch_ns_) + MedianUs(map_ns_) / kPagesOfARound};
  }

 private:
  // The pages lie far apart, so that each needs a page fault of its own.
  std::int64_t PlaceOf(std::size_t page) const {
    return pages_ * static_cast<std::int64_t>(page) / std::int64_t{kPages} * page_size_;
  }

  Status Read(std::size_t round) {
    for (std::size_t page = round; page < kPages; page += kRounds) {
      const std::uint64_t start = MonotonicNs();
      if (file_->pMethods->xRead(file_, copy_.data(), static_cast<int>(page_size_),
                                 PlaceOf(page)) != SQLITE_OK) {
        return Error{"the database file could not be read"};
      }
      read_ns_[page] = MonotonicNs() - start;
      if (read_ns_[page] > kColdPageNs && ++cold_pages_ > kMostColdPages) {
        return Error{"the database is not in the system's cache"};
      }
    }
    return Ok{};
  }

  Status Map(std::size_t round) {
    const std::uint64_t start = MonotonicNs();
    SetMapped(pages_ * page_size_);
    bool mapped = Touch(0);  // it maps the file
    map_ns_[round] = MonotonicNs() - start;
    for (std::size_t page = round; page < kPages && mapped; page += kRounds) {
      const std::uint64_t before = MonotonicNs();
      mapped = Touch(PlaceOf(page));
      touch_ns_[page] = MonotonicNs() - before;
    }
    const std::uint64_t end = MonotonicNs();
    SetMapped(0);
    map_ns_[round] += MonotonicNs() - end;
    return mapped ? Status(Ok{}) : Status(Error{"the database file could not be mapped"});
  }

  bool Touch(std::int64_t place) {
    void* page = nullptr;
    const int rc = file_->pMethods->xFetch(file_, place, static_cast<int>(page_size_), &page);
    if (rc != SQLITE_OK || !page) return false;
    copy_[0] = *static_cast<const volatile char*>(page);
    file_->pMethods->xUnfetch(file_, place, page);
    return true;
  }

  void SetMapped(sqlite3_int64 bytes) {
    sqlite3_file_control(db_, schema_, SQLITE_FCNTL_MMAP_SIZE, &bytes);
  }

  sqlite3* const db_;
  const char* const schema_;
  sqlite3_file* const file_;
  const std::int64_t page_size_;
  const std::int64_t pages_;
  std::vector<char> copy_;
  std::array<std::uint64_t, kPages> read_ns_{}, touch_ns_{};
  std::array<std::uint64_t, kRounds> map_ns_{};  // to map and unmap the file
  std::size_t cold_pages_ = 0;
};

std::int64_t Number(sqlite3* db, const std::string& sql) {
  const auto text = QueryText(db, sql);
  return text.ok() && text.value() ? std::stoll(*text.value()) : 0;
}

}  // namespace

Result<PageCosts> MeasurePageCosts(sqlite3* db, const char* schema) {
  if (sqlite3_txn_state(db, schema) != SQLITE_TXN_NONE) {
    return Error{"a statement of this connection is reading the database"};
  }
  const std::string name = QuoteName(schema);
  // Its read transaction lasts until it is finalized.
  auto reading = Prepare(db, kOwnSql + ("SELECT 1 FROM " + name + ".sqlite_schema"));
  if (!reading.ok()) return reading.error();
  const int rc = sqlite3_step(reading.value().get());
  if (rc != SQLITE_ROW && rc != SQLITE_DONE) return EngineError(db);
  sqlite3_file* file = DatabaseFile(db, schema);
  sqlite3_int64 bytes = 0;
  if (!file || file->pMethods->xFileSize(file, &bytes) != SQLITE_OK) {
    return Error{"the database file could not be read"};
  }
  if (file->pMethods->iVersion < 3 || !file->pMethods->xFetch || !file->pMethods->xUnfetch) {
    return Error{"the database file could not be mapped"};
  }
  // SQLite maps no page that ends the file.
  const std::int64_t page_size = Number(db, "PRAGMA " + name + ".page_size");
  // Nor does it map more than 2 GiB, as it is built by default.
  constexpr std::int64_t kMostBytes = std::int64_t{1} << 30;
  if (bytes > kMostBytes) bytes = kMostBytes;
  const std::int64_t pages =
      page_size > 0 ? std::min<std::int64_t>(Number(db, "PRAGMA " + name + ".page_count"),
                                             bytes / page_size) -
                          1
                    : 0;
  if (rc != SQLITE_ROW || pages < std::int64_t{kPages}) {
    return Error{"the database file has fewer than " + std::to_string(kPages + 1) + " pages"};
  }
  return Measurement(db, schema, file, page_size, pages).Run();
}

}  // namespace walmanager
