/* walmanager's steps: the guarded checkpoint, the finishing commit with its gate, and the lease. The other files have
   what SQLite does. MUTATE_... leaves out or moves one step (README.md). */

byte lease; /* the process that copies; 0: none. ControlFile::TryLease */
byte gate;  /* the commit that finishes; 0: open. gate_until_ns in the control file */
bool gate_is_over; /* its time has passed */
byte prepared; /* the salt of the log whose remainder a commit may finish; 0: none. ControlRegion::prepared */
byte at_gate; /* commits that wait there */
byte readers; /* that have not ended */
byte limit = COMMITS; /* no transaction commits beyond it */

#define CHECKPOINTER_LOCALS \
  CHECKPOINT_LOCALS;        \
  Connection guard, own;    \
  bool is_complete = false

/* CheckpointConnections::TryReadMarks, after a checkpoint that was cut short: who is in the way? */
inline probe_marks() {
  i = 0;
  do
  :: i <= MARKS ->
     lock_exclusive(i);
     if
     :: owned != 0 -> unlock_exclusive(i)
     :: else
     fi;
     i++
  :: else -> break
  od;
  i = 0
}

/* CheckpointConnections::Look */
inline look() {
  d_step { own.max_frame = max_frame };
  d_step { is_complete = backfill == own.max_frame; own.max_frame = 0 }
#ifdef STALE_LOOK
  ;is_complete = false /* A third party completes the log after each look. */
#endif
}

/* The end of the read transaction of the guard, where it is in one */
inline end_guard() {
  if
  :: guard.lock != NONE -> end_read(guard)
  :: else
  fi
}

/* Checkpointer::RunStep, PASSIVE */
inline guarded_pass() {
#if defined(MUTATE_NO_GUARD) || defined(MUTATE_GUARD_LATE)
  guard.lock = NONE;
  look();
  if
  :: !is_complete -> passive_checkpoint(own)
  :: else
  fi;
#else
  begin_read(guard);
  look();
  if
#ifdef MUTATE_GUARD_ON_MARK_0
  :: !is_complete ->
#else
  :: !is_complete && guard.lock > 0 ->
#endif
#ifdef MUTATE_GUARD_ENDS_EARLY
     end_guard();
#endif
     passive_checkpoint(own)
  :: else
  fi;
#endif
  end_guard();
  look()
}

/* Checkpointer::RunStep, TRUNCATE */
inline guarded_truncate() {
#ifdef MUTATE_NO_GUARD
  look();
  blocking_checkpoint(own, 1);
#else
  begin_read(guard);
  look();
  if
  :: is_complete && guard.lock == 0 -> blocking_checkpoint(own, 1)
  :: !is_complete && guard.lock > 0 -> blocking_checkpoint(own, 0)
  :: else
  fi;
#endif
  end_guard()
}

/* CommitGate::WaitAtGate */
inline wait_at_gate() {
  d_step { g = gate };
  if
  :: g != 0 && !gate_is_over ->
     at_gate++;
#ifdef MUTATE_GATE_WITHOUT_TIME
     gate != g;
#else
     gate != g || gate_is_over;
     d_step {
       if
       :: gate == g -> gate = 0
       :: else
       fi
     };
#endif
     at_gate--
  :: else
  fi;
  g = 0
}

#ifdef ALWAYS_PREPARED
#define IS_PREPARED true
#else
#define IS_PREPARED (prepared == salt)
#endif
/* CheckpointEngine::FinishRemainder, with FinishingCommit and IsPinned */
inline finish_remainder() {
  d_step {
    if
    :: IS_PREPARED && backfill != max_frame -> m = 0
    :: else
    fi
  };
  if
  :: m == 0 ->
     m = NONE;
     lock_all_marks();
     if
     :: owned != 0 ->
        unlock_all_marks();
        if
        :: d_step { gate = id; gate_is_over = false }
        :: skip /* not far behind, or another commit has shut it for longer */
        fi;
        do
        :: guarded_pass();
           if
           :: is_complete -> prepared = 0; break
           :: else -> break
           :: !is_complete && gate == id -> skip /* in time: again */
           fi
        od;
        is_complete = false;
#ifndef MUTATE_GATE_STAYS_SHUT
        d_step {
          if
          :: gate == id -> gate = 0
          :: else
          fi
        }
#endif
     :: else
     fi
  :: else
  fi
}
