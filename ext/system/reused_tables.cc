#include "ext/system/reused_tables.h"

#include <atomic>
#include <thread>

namespace walmanager {
namespace {

std::atomic<std::thread::id> reusing_thread;

}  // namespace

ReusedTables* TablesToReuse() {
  // Relaxed: only the thread itself stores its own id, so it finds it where it has the tables.
  if (reusing_thread.load(std::memory_order_relaxed) != std::this_thread::get_id()) return nullptr;
  static auto* const tables = new ReusedTables;  // never destroyed: at exit the thread may use it
  return tables;
}

ReuseOfTables::ReuseOfTables() {
  std::thread::id none;
  // Acquire and release: the thread before has left the tables.
  has_it_ = reusing_thread.compare_exchange_strong(none, std::this_thread::get_id(),
                                                   std::memory_order_acq_rel);
}

ReuseOfTables::~ReuseOfTables() {
  // Release: the thread after this one finds the tables as they are left here.
  if (has_it_) reusing_thread.store(std::thread::id(), std::memory_order_release);
}

}  // namespace walmanager
