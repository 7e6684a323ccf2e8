#include "ext/core/control/io_statistics.h"

#include <algorithm>

namespace walmanager {
namespace {

using layout::Counter;

std::size_t IndexOf(IoOrigin origin) { return static_cast<std::size_t>(origin); }

IoTraffic Read(const layout::FileTraffic& from) {
  return {Get(from.reads),  Get(from.read_bytes),    Get(from.read_ns),
          Get(from.writes), Get(from.written_bytes), Get(from.write_ns)};
}

void AddTo(layout::FileTraffic& to, const IoTraffic& traffic) {
  if (traffic.reads != 0) {
    Add(to.reads, traffic.reads);
    Add(to.read_bytes, traffic.read_bytes);
    Add(to.read_ns, traffic.read_ns);
  }
  if (traffic.writes != 0) {
    Add(to.writes, traffic.writes);
    Add(to.written_bytes, traffic.written_bytes);
    Add(to.write_ns, traffic.write_ns);
  }
}

void Clear(layout::FileTraffic& traffic) {
  for (Counter* counter : {&traffic.reads, &traffic.read_bytes, &traffic.read_ns, &traffic.writes,
                           &traffic.written_bytes, &traffic.write_ns}) {
    Put(*counter, 0);
  }
}

void Sum(IoTraffic& to, const IoTraffic& more) {
  to.reads += more.reads;
  to.read_bytes += more.read_bytes;
  to.read_ns += more.read_ns;
  to.writes += more.writes;
  to.written_bytes += more.written_bytes;
  to.write_ns += more.write_ns;
}

void ClearTraffic(layout::Traffic& traffic, std::uint64_t generation) {
  for (layout::FileTraffic& file : traffic.files) Clear(file);
  Put(traffic.reset_generation, generation);
}

constexpr IoOrigin kOrigins[] = {IoOrigin::kApplication, IoOrigin::kWalmanager};
constexpr IoFile kSynced[] = {IoFile::kDatabase, IoFile::kLog};

}  // namespace

const char* IoOriginName(IoOrigin origin) {
  return origin == IoOrigin::kApplication ? "application" : "walmanager";
}

void IoStatistics::Add(IoOrigin origin, IoFile file, const IoTraffic& traffic) {
  AddTo(io_.shared[IndexOf(origin)][IndexOf(file)], traffic);
}

void IoStatistics::AddSync(IoOrigin origin, IoFile file, std::uint64_t ns) {
  layout::FileSyncs& syncs = io_.syncs[IndexOf(origin)][IndexOf(file)];
  walmanager::Add(syncs.syncs, 1);
  walmanager::Add(syncs.sync_ns, ns);
  walmanager::Add(syncs.histogram[HistoryWaitScale::Bucket(ns)], 1);
  Raise(syncs.max_ns, ns);
}

void IoStatistics::AddError(IoOrigin origin, IoFile file, int code, int system_errno,
                            std::int64_t unix_ms) {
  layout::FileErrors& errors = io_.errors[IndexOf(origin)][IndexOf(file)];
  walmanager::Add(errors.errors, 1);
  Put(errors.last, static_cast<std::uint32_t>(code) |
                       std::uint64_t{static_cast<std::uint32_t>(system_errno)} << 32);
  Put(errors.last_ms, static_cast<std::uint64_t>(unix_ms));
}

IoTraffic IoStatistics::ReadTraffic(IoOrigin origin, IoFile file) const {
  space_->Follow();
  IoTraffic traffic = Read(io_.shared[IndexOf(origin)][IndexOf(file)]);
  if (origin != IoOrigin::kApplication) return traffic;
  const std::uint64_t generation = Get(space_->file()->header.reset_generation);
  const std::size_t used = space_->slabs();
  for (std::size_t i = 0; i < used; ++i) {
    const layout::Traffic& own = space_->traffic(i);
    if (Get(own.reset_generation) == generation) Sum(traffic, Read(own.files[IndexOf(file)]));
  }
  return traffic;
}

IoSyncs IoStatistics::ReadSyncs(IoOrigin origin, IoFile file) const {
  const layout::FileSyncs& from = io_.syncs[IndexOf(origin)][IndexOf(file)];
  IoSyncs syncs{Get(from.syncs), Get(from.sync_ns), Get(from.max_ns), {}};
  for (const Counter& counter : from.histogram) syncs.histogram.push_back(Get(counter));
  return syncs;
}

IoSyncs IoStatistics::ReadAllSyncs() const {
  IoSyncs all;
  all.histogram.resize(HistoryWaitScale::kBuckets);
  for (const IoOrigin origin : kOrigins) {
    for (const IoFile file : kSynced) {
      const IoSyncs syncs = ReadSyncs(origin, file);
      all.syncs += syncs.syncs;
      all.sync_ns += syncs.sync_ns;
      all.max_ns = std::max(all.max_ns, syncs.max_ns);
      for (std::size_t i = 0; i < all.histogram.size(); ++i) {
        all.histogram[i] += syncs.histogram[i];
      }
    }
  }
  return all;
}

IoErrors IoStatistics::ReadErrors(IoOrigin origin, IoFile file) const {
  const layout::FileErrors& from = io_.errors[IndexOf(origin)][IndexOf(file)];
  const std::uint64_t last = Get(from.last);
  return {Get(from.errors), static_cast<int>(last & 0xffff'ffff), static_cast<int>(last >> 32),
          static_cast<std::int64_t>(Get(from.last_ms))};
}

void IoStatistics::MoveTraffic(std::size_t slab, IoStatistics& other, std::size_t other_slab) {
  if (slab >= layout::kConnections || !space_->HasTraffic(slab)) return;
  layout::Traffic& from = space_->traffic(slab);
  if (Get(from.reset_generation) != Get(space_->file()->header.reset_generation)) return;
  IoPlace to(other.space_, other_slab);
  for (const IoFile file : kSynced) {
    const IoTraffic traffic = Read(from.files[IndexOf(file)]);
    if (!traffic.any()) continue;
    Clear(from.files[IndexOf(file)]);
    to.Take(file, traffic);
  }
}

void IoStatistics::MoveTo(IoStatistics& other) {
  for (const IoOrigin origin : kOrigins) {
    for (const IoFile file : kSynced) {
      layout::FileTraffic& traffic = io_.shared[IndexOf(origin)][IndexOf(file)];
      other.Add(origin, file, Read(traffic));
      Clear(traffic);
      layout::FileSyncs& from = io_.syncs[IndexOf(origin)][IndexOf(file)];
      layout::FileSyncs& to = other.io_.syncs[IndexOf(origin)][IndexOf(file)];
      if (Get(from.syncs) == 0) continue;
      walmanager::Add(to.syncs, Take(from.syncs));
      walmanager::Add(to.sync_ns, Take(from.sync_ns));
      Raise(to.max_ns, Take(from.max_ns));
      for (std::size_t i = 0; i < from.histogram.size(); ++i) {
        if (const std::uint64_t count = Take(from.histogram[i])) {
          walmanager::Add(to.histogram[i], count);
        }
      }
    }
    for (std::size_t i = 0; i < layout::kIoFiles; ++i) {
      layout::FileErrors& from = io_.errors[IndexOf(origin)][i];
      layout::FileErrors& to = other.io_.errors[IndexOf(origin)][i];
      if (Get(from.errors) == 0) continue;
      walmanager::Add(to.errors, Take(from.errors));
      Put(to.last, Take(from.last));
      Put(to.last_ms, Take(from.last_ms));
    }
  }
}

void IoStatistics::Reset() {
  for (auto& files : io_.shared) std::for_each(files.begin(), files.end(), Clear);
  for (auto& files : io_.errors) {
    for (layout::FileErrors& errors : files) {
      for (Counter* counter : {&errors.errors, &errors.last, &errors.last_ms}) Put(*counter, 0);
    }
  }
  for (auto& files : io_.syncs) {
    for (layout::FileSyncs& syncs : files) {
      for (Counter* counter : {&syncs.syncs, &syncs.sync_ns, &syncs.max_ns}) Put(*counter, 0);
      for (Counter& counter : syncs.histogram) Put(counter, 0);
    }
  }
}

IoPlace::IoPlace(ControlSpace* space, std::size_t slab) : space_(space) {
  if (slab >= layout::kConnections || !space->MakeTraffic(slab)) return;
  own_ = &space->traffic(slab);
  generation_ = &space->file()->header.reset_generation;
}

void IoPlace::Take(IoFile file, const IoTraffic& traffic) {
  if (!own_) return AddShared(file, traffic);
  layout::FileTraffic& to = Own(file);
  AddOwn(to.reads, traffic.reads);
  AddOwn(to.read_bytes, traffic.read_bytes);
  AddOwn(to.read_ns, traffic.read_ns);
  AddOwn(to.writes, traffic.writes);
  AddOwn(to.written_bytes, traffic.written_bytes);
  AddOwn(to.write_ns, traffic.write_ns);
}

void IoPlace::Clear() { ClearTraffic(*own_, Get(*generation_)); }

void IoPlace::AddShared(IoFile file, const IoTraffic& traffic) {
  IoStatistics(space_).Add(IoOrigin::kApplication, file, traffic);
}

}  // namespace walmanager
