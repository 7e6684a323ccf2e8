// The places of one role (database files, logs) in which files of the host's are watched. A place
// begins with a copy of SQLite's table of methods, to which the file then points.
//
// The rule that is easy to break: places are in static memory, which is never freed, and a file is
// found by its address. So a call through a table that is out of date, or that another library has
// copied, still finds the file's place and SQLite's own methods.
// Thread rules: any thread. A place belongs to the thread that uses its file. The engine or the
// host hands a file from one thread to the next under a lock, and with it the place: so what only
// that thread writes and reads (serial_, original_, file_ of its own place) is relaxed. file_ is
// acquire and release for threads that look for a file or a free place.
#pragma once

#include <dlfcn.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "ext/engine/sqlite.h"

namespace walmanager {

// A file that is watched: the place stays valid for ever, but may be another file's by now.
template <typename Place>
class PlaceHandle {
 public:
  PlaceHandle() = default;
  explicit PlaceHandle(Place* place)
      : place_(place), serial_(place->serial_.load(std::memory_order_relaxed)) {}
  // nullptr where the file was closed, or is not watched.
  Place* Get() const {
    return place_ && place_->serial_.load(std::memory_order_relaxed) == serial_ ? place_ : nullptr;
  }

 private:
  Place* place_ = nullptr;
  std::uint64_t serial_ = 0;
};

// `Place` has methods_ as its first member, file_ (nullptr: free), original_ and serial_.
template <typename Place, std::size_t kPlaces>
class WatchedPlaces {
 public:
  constexpr WatchedPlaces() = default;

  // Whether a table of methods is in one of them.
  bool Has(const void* table) const {
    const auto at =
        reinterpret_cast<std::uintptr_t>(table) - reinterpret_cast<std::uintptr_t>(places_.data());
    return at < sizeof places_;
  }
  // nullptr: the file has none.
  Place* Of(sqlite3_file* file) {
    if (Has(file->pMethods)) [[likely]] {
      auto* place = reinterpret_cast<Place*>(const_cast<sqlite3_io_methods*>(file->pMethods));
      if (place->file_.load(std::memory_order_relaxed) == file) [[likely]]
        return place;
    }
    return Find(file);
  }
  // SQLite's methods of the file in this place, or in none.
  const sqlite3_io_methods* OriginalOf(const Place* place) const {
    return place ? place->original_.load(std::memory_order_relaxed)
                 : last_original_.load(std::memory_order_relaxed);
  }

  // A place for the file, to which the caller gives a copy of its table; nullptr: all are taken, or
  // the file must not be watched.
  Place* Claim(sqlite3_file* file);
  // The file has its own methods again, or is closed.
  void Free(Place* place);

 private:
  // Whether a table of methods is the engine's own, and not another library's.
  bool IsOfEngine(const sqlite3_io_methods* table);
  [[gnu::cold]] Place* Find(const sqlite3_file* file);

  // Pages of it that are never used take no memory. It is all zeros at first, so that it is not in
  // the library's file, where it would be two megabytes.
  std::array<Place, kPlaces> places_{};
  // From there on none was ever used. Raised after the place has its file, and read with acquire.
  std::atomic<std::size_t> used_{0};
  std::atomic<std::size_t> maybe_free_{0};  // none before it is free, most likely: a hint, relaxed
  // SQLite's methods of the file that was watched last, for a file that is not known: a library has
  // given it a copy of our table, which belongs to another file. This table and the next are
  // constants of the engine, so that the pointers may be relaxed.
  std::atomic<const sqlite3_io_methods*> last_original_{nullptr};
  // The last table that was the engine's: asking the linker takes a lock.
  std::atomic<const sqlite3_io_methods*> of_engine_{nullptr};
};

template <typename Place, std::size_t kPlaces>
Place* WatchedPlaces<Place, kPlaces>::Find(const sqlite3_file* file) {
  const std::size_t used = used_.load(std::memory_order_acquire);
  for (std::size_t i = 0; i < used; ++i) {
    if (places_[i].file_.load(std::memory_order_acquire) == file) return &places_[i];
  }
  return nullptr;
}

template <typename Place, std::size_t kPlaces>
Place* WatchedPlaces<Place, kPlaces>::Claim(sqlite3_file* file) {
  // Where a file of this address is known, another library may stand between.
  if (!IsOfEngine(file->pMethods) || Find(file)) return nullptr;
  // A file that is not known gets the methods of the last one. Those of another way of locking
  // would lock nothing for it.
  const sqlite3_io_methods* last = last_original_.load(std::memory_order_relaxed);
  if (last && last != file->pMethods) return nullptr;
  const std::size_t begin = maybe_free_.load(std::memory_order_relaxed);
  for (std::size_t i = begin; i < kPlaces; ++i) {
    sqlite3_file* none = nullptr;
    // Acquire: pairs with the release in Free().
    if (places_[i].file_.load(std::memory_order_relaxed) != nullptr ||
        !places_[i].file_.compare_exchange_strong(none, file, std::memory_order_acq_rel)) {
      continue;
    }
    std::size_t used = used_.load(std::memory_order_relaxed);
    while (used < i + 1 && !used_.compare_exchange_weak(used, i + 1)) {
    }
    maybe_free_.store(i + 1, std::memory_order_relaxed);
    places_[i].original_.store(file->pMethods, std::memory_order_relaxed);
    last_original_.store(file->pMethods, std::memory_order_relaxed);
    return &places_[i];
  }
  maybe_free_.store(0, std::memory_order_relaxed);
  return nullptr;
}

template <typename Place, std::size_t kPlaces>
void WatchedPlaces<Place, kPlaces>::Free(Place* place) {
  place->serial_.fetch_add(1, std::memory_order_relaxed);
  // Release: the next file that has this place finds it as it is left here.
  place->file_.store(nullptr, std::memory_order_release);
  const auto index = static_cast<std::size_t>(place - places_.data());
  if (index < maybe_free_.load(std::memory_order_relaxed)) {
    maybe_free_.store(index, std::memory_order_relaxed);
  }
}

template <typename Place, std::size_t kPlaces>
bool WatchedPlaces<Place, kPlaces>::IsOfEngine(const sqlite3_io_methods* table) {
  if (of_engine_.load(std::memory_order_relaxed) == table) return true;
  Dl_info engine{}, found{};
  if (dladdr(reinterpret_cast<const void*>(sqlite3_api->libversion_number), &engine) == 0 ||
      dladdr(table, &found) == 0 || engine.dli_fbase != found.dli_fbase) {
    return false;
  }
  of_engine_.store(table, std::memory_order_relaxed);
  return true;
}

}  // namespace walmanager
