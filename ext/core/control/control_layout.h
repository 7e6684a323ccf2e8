// The layout of the control file `<db>-walmanager`, which every process that uses the database
// maps.
//
// The file begins with a first part of fixed size: header, table of sections, settings, counters
// of checkpoints, the first records of each array, and what was found out about the database. Where
// an array needs more records, a process appends a section to the file and enters it in the table.
// ControlFile is how a process sees both: the first part, then the rest of each array at a fixed
// place, of which only the sections that exist are backed by the file (control_space.h). What the
// parts are made of is in the headers layout_*.h; layout_locks.h has the locks beyond its end.
//
// All integers are little-endian words of 8 bytes, or parts of one; the file is not exchanged
// between machines. Any change of the first part needs another kLayoutNumber, a change of an
// array's records another version of its kind of section. control_region.h,
// query_statistics.h, history.h and alerts.h say how the fields may be read and written.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "ext/core/control/layout_alerts.h"
#include "ext/core/control/layout_cancels.h"
#include "ext/core/control/layout_checkpoints.h"
#include "ext/core/control/layout_connections.h"
#include "ext/core/control/layout_evidence.h"
#include "ext/core/control/layout_header.h"
#include "ext/core/control/layout_history.h"
#include "ext/core/control/layout_io.h"
#include "ext/core/control/layout_lock_waits.h"
#include "ext/core/control/layout_sections.h"
#include "ext/core/control/layout_settings.h"
#include "ext/core/control/layout_sizes.h"
#include "ext/core/control/layout_statements.h"

namespace walmanager::layout {

// The first part, and then the rest of each array, as a process sees them. Which sections exist,
// ControlSpace knows: the others read as zeros and must not be written.
struct ControlFile {
  Header header;
  SectionTable sections;
  alignas(64) std::array<SettingsBlock, 2> settings;
  alignas(64) std::array<RuleCounters, kBuiltinRules> builtin_rules;
  std::array<RuleCounters, kRules> rules;
  alignas(64) EngineState engine;
  alignas(64) CheckpointCounters checkpoints;
  alignas(64) CheckpointRing ring;
  alignas(64) QueryTable queries;
  alignas(64) History history;
  alignas(64) AlertLog alerts;
  alignas(64) Evidence evidence;
  // Shared by all connections that found no slab of their own.
  ConnectionSlab shared_slab;
  std::array<ConnectionSlab, kFirstConnections> slabs;
  CancelRequests cancels;  // zeros in a file of an earlier version, here and below
  Io io;

  alignas(kBlockBytes) std::array<MoreSettings, 2> more_settings;
  alignas(kBlockBytes)
      std::array<CheckpointSlot, kCheckpointRecords - kFirstCheckpointRecords> more_checkpoints;
  alignas(kBlockBytes) std::array<ConnectionSlab, kNearConnections - kFirstConnections> more_slabs;
  alignas(kBlockBytes) std::array<HotQueries, kNearConnections> hot;
  alignas(kBlockBytes) std::array<QueryEntry, kQueries - kFirstQueries> more_queries;
  alignas(kBlockBytes) std::array<HistorySlot, kHistorySamples> samples;
  alignas(kBlockBytes) std::array<HistorySlot, kHistoryMinutes> minutes;
  alignas(kBlockBytes) std::array<HistorySlot, kHistoryHours> hours;
  alignas(kBlockBytes) std::array<AlertSlot, kAlerts - kFirstAlerts> more_alerts;
  alignas(kBlockBytes) LockWaits lock_waits;
  alignas(kBlockBytes) std::array<Traffic, kNearConnections - kFirstConnections> more_traffic;

  CheckpointSlot& checkpoint(std::size_t i) { return At(ring.slots, more_checkpoints, i); }
  QueryEntry& query(std::size_t i) { return At(queries.entries, more_queries, i); }
  AlertSlot& alert(std::size_t i) { return At(alerts.slots, more_alerts, i); }
  // `copy`: of the two.
  SettingEntry& setting(std::size_t copy, std::size_t i) {
    return At(settings[copy].settings, more_settings[copy].settings, i);
  }
  RuleEntry& rule(std::size_t copy, std::size_t i) {
    return At(settings[copy].rules, more_settings[copy].rules, i);
  }

 private:
  template <typename First, typename More>
  static typename First::value_type& At(First& first, More& more, std::size_t i) {
    return i < first.size() ? first[i] : more[i - first.size()];
  }
};

// Connections after the first kNearConnections, which few databases have: a mapping of its own.
// Their sections are longer, and each array begins where one may begin.
inline constexpr std::size_t kManyBlocks = 16;
struct ManyConnections {
  alignas(
      kManyBlocks* kBlockBytes) std::array<ConnectionSlab, kConnections - kNearConnections> slabs;
  alignas(kManyBlocks* kBlockBytes) std::array<HotQueries, kConnections - kNearConnections> hot;
  alignas(kManyBlocks* kBlockBytes) std::array<Traffic, kConnections - kNearConnections> traffic;
};

static_assert(offsetof(ControlFile, more_settings) == kFirstBytes,
              "another layout needs another kLayoutNumber");
#ifndef WALMANAGER_SMALL_LAYOUT
static_assert(offsetof(ControlFile, sections) == 320 && offsetof(ControlFile, settings) == 2880,
              "files since kFirstLayoutWithSections are read for their settings");
static_assert(offsetof(ControlFile, slabs) + sizeof(ControlFile::slabs) == 191'872,
              "another layout needs another kLayoutNumber");
#endif

}  // namespace walmanager::layout
