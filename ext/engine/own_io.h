// What one of the extension's own connections reads, writes and syncs, for wal_io.
//
// Reads and writes are kept here until the connection stops to read, syncs or closes, and then
// added to what all own connections count: a shared cache line for each page would be slow. Thread
// rules: in the thread that uses the connection.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <utility>

#include "ext/core/control/io_statistics.h"
#include "ext/system/control_file.h"

namespace walmanager {

class OwnIo {
 public:
  OwnIo() = default;
  ~OwnIo() { Flush(); }
  OwnIo(const OwnIo&) = delete;
  OwnIo& operator=(const OwnIo&) = delete;

  // From now on, and what was done since the last call; nullptr: nowhere.
  void CountIn(std::shared_ptr<ControlFile> control) {
    Flush();
    control_ = std::move(control);
  }
  const std::shared_ptr<ControlFile>& counted_in() const { return control_; }
  // Adds what is kept here.
  void Flush();

  void Read(IoFile file, std::uint64_t bytes, std::uint64_t ns) {
    IoTraffic& traffic = kept_[IndexOf(file)];
    ++traffic.reads;
    traffic.read_bytes += bytes;
    traffic.read_ns += ns;
    FlushIfMany();
  }
  void Write(IoFile file, std::uint64_t bytes, std::uint64_t ns) {
    IoTraffic& traffic = kept_[IndexOf(file)];
    ++traffic.writes;
    traffic.written_bytes += bytes;
    traffic.write_ns += ns;
    FlushIfMany();
  }
  void Sync(IoFile file, std::uint64_t ns);
  void Failed(IoFile file, int code, int system_errno, std::int64_t unix_ms);

 private:
  // So that a long copy shows.
  static constexpr std::uint64_t kMostKept = 1000;
  void FlushIfMany() {
    if (++calls_ >= kMostKept) Flush();
  }

  std::shared_ptr<ControlFile> control_;
  std::array<IoTraffic, layout::kIoSyncedFiles> kept_;
  std::uint64_t calls_ = 0;  // that are kept
};

}  // namespace walmanager
