// What connections read, write and sync of a database's files, in the memory of a control file:
// counted by the connections, read by wal_io. The layout is in layout_io.h.
//
// The protocol is that of control_region.h.
// - A connection of the program counts reads and writes in the traffic of its slab, which it alone
//   writes (IoPlace). The traffic keeps its counts when its owner leaves.
// - All connections add to the same counters (read-modify-write) what is slow by itself: syncs and
//   errors. So do connections without a slab, and walmanager's own ones with all that they do.
#pragma once

#include <cstdint>
#include <vector>

#include "ext/core/control/control_layout.h"
#include "ext/core/control/control_space.h"
#include "ext/core/control/shared_words.h"

namespace walmanager {

enum class IoOrigin : std::uint8_t { kApplication, kWalmanager };
const char* IoOriginName(IoOrigin origin);
enum class IoFile : std::uint8_t { kDatabase, kLog, kSharedMemory };
constexpr std::size_t IndexOf(IoFile file) { return static_cast<std::size_t>(file); }

struct IoTraffic {
  std::uint64_t reads = 0, read_bytes = 0, read_ns = 0, writes = 0, written_bytes = 0, write_ns = 0;
  bool any() const { return (reads | writes) != 0; }
};

struct IoSyncs {
  std::uint64_t syncs = 0, sync_ns = 0, max_ns = 0;
  std::vector<std::uint64_t> histogram;  // HistoryWaitScale::kBuckets
};

struct IoErrors {
  std::uint64_t errors = 0;
  int last_code = 0;         // of SQLite; 0: none
  int last_errno = 0;        // of the system; 0: not known
  std::int64_t last_ms = 0;  // Unix time
};

class IoStatistics {
 public:
  // `space` must outlive this object.
  explicit IoStatistics(ControlSpace* space) : space_(space), io_(space->file()->io) {}

  // --- what all connections add to
  void Add(IoOrigin origin, IoFile file, const IoTraffic& traffic);
  void AddSync(IoOrigin origin, IoFile file, std::uint64_t ns);
  void AddError(IoOrigin origin, IoFile file, int code, int system_errno, std::int64_t unix_ms);

  // --- readers; `file` is not kSharedMemory, but for ReadErrors()
  IoTraffic ReadTraffic(IoOrigin origin, IoFile file) const;
  IoSyncs ReadSyncs(IoOrigin origin, IoFile file) const;
  IoErrors ReadErrors(IoOrigin origin, IoFile file) const;
  // Of all files and origins.
  IoSyncs ReadAllSyncs() const;

  // Moves the traffic of a slab to that of another memory's slab, or to what connections without a
  // slab count where that one has none. Nothing is written where nothing was counted.
  void MoveTraffic(std::size_t slab, IoStatistics& other, std::size_t other_slab);
  // Moves the rest to another memory: from private memory to a file that was made.
  void MoveTo(IoStatistics& other);
  // Forgets all but what connections count in their slabs: raise the reset_generation for that.
  void Reset();

 private:
  ControlSpace* space_;
  layout::Io& io_;
};

// Where one connection of the program counts its reads and writes. Thread rules: in the thread that
// uses the connection.
class IoPlace {
 public:
  IoPlace() = default;  // nowhere
  // In the traffic of the slab; where it has none, in what all connections share. May write to the
  // disk. `space` must outlive this object.
  IoPlace(ControlSpace* space, std::size_t slab);

  bool is_there() const { return space_ != nullptr; }
  void Read(IoFile file, std::uint64_t bytes, std::uint64_t ns) {
    if (!own_) [[unlikely]]
      return AddShared(file, {.reads = 1, .read_bytes = bytes, .read_ns = ns});
    layout::FileTraffic& to = Own(file);
    AddOwn(to.reads, 1);
    AddOwn(to.read_bytes, bytes);
    AddOwn(to.read_ns, ns);
  }
  void Write(IoFile file, std::uint64_t bytes, std::uint64_t ns) {
    if (!own_) [[unlikely]]
      return AddShared(file, {.writes = 1, .written_bytes = bytes, .write_ns = ns});
    layout::FileTraffic& to = Own(file);
    AddOwn(to.writes, 1);
    AddOwn(to.written_bytes, bytes);
    AddOwn(to.write_ns, ns);
  }
  // Adds what was counted elsewhere.
  void Take(IoFile file, const IoTraffic& traffic);
  void Sync(IoFile file, std::uint64_t ns) {
    IoStatistics(space_).AddSync(IoOrigin::kApplication, file, ns);
  }
  void Failed(IoFile file, int code, int system_errno, std::int64_t unix_ms) {
    IoStatistics(space_).AddError(IoOrigin::kApplication, file, code, system_errno, unix_ms);
  }

 private:
  layout::FileTraffic& Own(IoFile file) {
    // There was a reset since.
    if (Get(own_->reset_generation) != Get(*generation_)) [[unlikely]]
      Clear();
    return own_->files[IndexOf(file)];
  }
  [[gnu::cold]] void Clear();
  [[gnu::cold]] void AddShared(IoFile file, const IoTraffic& traffic);

  ControlSpace* space_ = nullptr;
  layout::Traffic* own_ = nullptr;
  const layout::Counter* generation_ = nullptr;
};

}  // namespace walmanager
