#include "ext/engine/page_costs.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

#include "ext/engine/sqlite.h"
#include "ext/engine/wal_index.h"
#include "ext/engine/watched_file.h"
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
      if (WatchedFile::OwnMethods(file_)->xRead(file_, copy_.data(), static_cast<int>(page_size_),
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

// A read transaction on the schema, without SQL: an open blob of the schema's table has one. The
// first rows of that table may be gone.
OwnedBlob BeginReading(sqlite3* db, const char* schema) {
  constexpr sqlite3_int64 kLastRow = 64;
  sqlite3_blob* blob = nullptr;
  for (sqlite3_int64 row = 1; row <= kLastRow && !blob; ++row) {
    if (sqlite3_blob_open(db, schema, "sqlite_master", "type", row, /*flags=*/0, &blob) !=
        SQLITE_OK) {
      blob = nullptr;
    }
  }
  return OwnedBlob(blob);
}

// As the file's header says, which stands in its first bytes; 0 where they are no such header.
std::int64_t PageSize(sqlite3_file* file) {
  // https://www.sqlite.org/fileformat.html, section 1.3.
  constexpr char kName[] = "SQLite format 3";
  std::array<unsigned char, 18> header{};
  if (WatchedFile::OwnMethods(file)->xRead(file, header.data(), static_cast<int>(header.size()),
                                           0) != SQLITE_OK)
    return 0;
  if (std::memcmp(header.data(), kName, sizeof kName) != 0) return 0;
  const int stored = header[16] << 8 | header[17];
  return stored == 1 ? 65536 : stored;
}

}  // namespace

Result<PageCosts> MeasurePageCosts(sqlite3* db, const char* schema) {
  if (!sqlite3_api->blob_open) {
    return Error{"this SQLite was built with SQLITE_OMIT_INCRBLOB"};
  }
  if (CacheIsShared(db)) {
    return Error{"other connections use the page cache of this one (shared-cache mode)"};
  }
  if (sqlite3_txn_state(db, schema) != SQLITE_TXN_NONE) {
    return Error{"a statement of this connection is reading the database"};
  }
  const OwnedBlob reading = BeginReading(db, schema);
  sqlite3_file* file = DatabaseFile(db, schema);
  sqlite3_int64 bytes = 0;
  if (!file || file->pMethods->xFileSize(file, &bytes) != SQLITE_OK) {
    return Error{"the database file could not be read"};
  }
  if (file->pMethods->iVersion < 3 || !file->pMethods->xFetch || !file->pMethods->xUnfetch) {
    return Error{"the database file could not be mapped"};
  }
  // Nor does SQLite map more than 2 GiB, as it is built by default.
  constexpr std::int64_t kMostBytes = std::int64_t{1} << 30;
  const std::int64_t page_size = PageSize(file);
  std::int64_t pages = page_size == 0 ? 0 : std::min<std::int64_t>(bytes, kMostBytes) / page_size;
  // A checkpoint may cut the file to the pages that there are as of the last commit. An index that
  // no commit has written names none: then the log is empty, and nothing cuts the file.
  const auto index = ReadWalIndex(WalFile::Ask(db, schema));
  if (index && index->page_size != 0) pages = std::min<std::int64_t>(pages, index->database_pages);
  --pages;  // SQLite maps no page that ends the file
  if (pages < std::int64_t{kPages}) {
    return Error{"the database file has fewer than " + std::to_string(kPages + 1) + " pages"};
  }
  if (!reading || !index) return Error{"the database could not be read"};
  return Measurement(db, schema, file, page_size, pages).Run();
}

}  // namespace walmanager
