#include "tests/bench/wal_log.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <filesystem>
#include <span>

namespace walmanager::bench {
namespace {

constexpr int kWalIndexRegionBytes = 32768;
constexpr int kLooksAtTornIndex = 100;
constexpr std::chrono::milliseconds kBetweenLooks(10);

}  // namespace

WalIndexView::WalIndexView(Db& db) {
  sqlite3_file* file = nullptr;
  volatile void* region = nullptr;
  if (sqlite3_file_control(db.get(), "main", SQLITE_FCNTL_FILE_POINTER, &file) != SQLITE_OK ||
      file->pMethods->xShmMap(file, 0, kWalIndexRegionBytes, 0, &region) != SQLITE_OK || !region) {
    Fail("the wal-index is not mapped: is the database in WAL mode?");
  }
  words_ = static_cast<volatile std::uint32_t*>(region);
}

std::optional<WalIndex> WalIndexView::Look() const {
  std::array<std::uint32_t, kWalIndexSnapshotBytes / sizeof(std::uint32_t)> copy;
  for (int look = 0; look < kLooksAtTornIndex; ++look) {
    std::copy_n(words_, copy.size(), copy.begin());
    if (const auto index = DecodeWalIndex(std::as_bytes(std::span(copy)))) return index;
  }
  return std::nullopt;
}

LogObserver::LogObserver(Db& db, const std::string& path) : index_(db), log_path_(path + "-wal") {
  Look();
  thread_ = std::thread([this] {
    while (!stopped_) {
      std::this_thread::sleep_for(kBetweenLooks);
      Look();
    }
  });
}

const LogObserver::Seen& LogObserver::Stop() {
  stopped_ = true;
  if (thread_.joinable()) thread_.join();
  return seen_;
}

void LogObserver::Look() {
  std::error_code none;
  const std::uintmax_t bytes = std::filesystem::file_size(log_path_, none);
  if (!none) seen_.bytes = std::max(seen_.bytes, bytes);
  const auto index = index_.Look();
  if (!index) return;
  seen_.frames = std::max(seen_.frames, index->max_frame);
  // The first salt counts up; before the first commit there is none.
  if (index->max_frame == 0 && !salt_) return;
  if (salt_ && *salt_ != index->salt1) {
    seen_.resets += index->salt1 - *salt_;
    seen_.reset_times.push_back(Now());
  }
  salt_ = index->salt1;
}

}  // namespace walmanager::bench
