/* The engine's checkpoint, on a SQLite with or without the fix of the WAL-reset bug (IS_FIXED) */

/* sqlite3WalCheckpoint, PASSIVE, without the lock: copies what no reader needs. */
inline copy_frames(c) {
  d_step { c.max_frame = max_frame; c.salt = salt }; /* walIndexReadHdr */
#ifdef MUTATE_GUARD_LATE
  begin_read(guard);
  skip; /* Spin allows no jump into a d_step. */
#endif
  d_step {
    seen = backfill;
    if
    :: c.max_frame > max_frame && seen == 0 -> printf("reads nBackfill of the next log\n")
    :: else
    fi
  };
  if
  :: seen < c.max_frame ->
     safe = c.max_frame;
#ifndef MUTATE_NO_READ_MARKS
     i = 1;
     do
     :: i <= MARKS ->
        d_step { seen = mark[i] };
        if
        :: safe > seen ->
           d_step {
             if
             :: IS_FREE(i) -> exclusive[i] = true; owned = owned | (1 << i)
             :: else -> safe = seen
             fi
           };
           if
           :: owned != 0 ->
              d_step {
                if
                :: i == 1 -> mark[i] = safe
                :: else -> mark[i] = UNUSED
                fi
              };
              unlock_exclusive(i)
           :: else
           fi
        :: else
        fi;
        i++
     :: else -> break
     od;
     i = 0;
#endif
     /* walIteratorInit: the newest frame of each page, as far as the header goes */
     d_step {
       if
       :: backfill < safe ->
          i = 1;
          do
          :: i <= c.max_frame ->
             if
             :: hash[i] == 1 -> newest1 = i
             :: hash[i] == 2 -> newest2 = i
             :: else
             fi;
             i++
          :: else -> break
          od;
          i = 0
       :: else -> safe = 0
       fi
     };
     if
     :: safe != 0 ->
#ifdef MUTATE_NO_READ0_LOCK
        m = 0;
#else
        d_step {
          if
          :: IS_FREE(0) -> exclusive[0] = true; owned = 1; m = 0
          :: else
          fi
        };
#endif
        if
        :: m == 0 ->
           m = NONE;
           d_step {
             seen = backfill;
             /* 3.51.3, 3.50.7 and 3.44.6: the log is still the one whose header was read */
             if
             :: IS_FIXED(id) && salt != c.salt -> safe = 0
             :: else
             fi
           };
#ifdef MUTATE_BACKFILL_FIRST
           if
           :: safe != 0 -> d_step { backfill = safe }
           :: else
           fi;
#endif
           if
           :: newest1 > seen && newest1 <= safe -> d_step { db[1] = frame_version[newest1] }
           :: else
           fi;
           if
           :: newest2 > seen && newest2 <= safe -> d_step { db[2] = frame_version[newest2] }
           :: else
           fi;
#ifndef MUTATE_BACKFILL_FIRST
           if
           :: safe != 0 -> d_step { backfill = safe; printf("nBackfill %d of %d\n", safe, max_frame) }
           :: else
           fi;
#endif
#ifndef MUTATE_NO_READ0_LOCK
           d_step { exclusive[0] = false; owned = 0 }
#endif
        :: else
        fi
     :: else
     fi
  :: else
  fi;
  d_step { safe = 0; newest1 = 0; newest2 = 0; seen = 0 }
}
#define CHECKPOINT_LOCALS \
  byte safe = 0;          \
  byte newest1 = 0;       \
  byte newest2 = 0

inline lock_checkpoint() {
  d_step {
    if
    :: checkpoint_lock == 0 -> checkpoint_lock = id
    :: else
    fi
  }
}
inline unlock_checkpoint(c) {
  d_step { checkpoint_lock = 0; c.max_frame = 0; c.salt = 0 }
}

inline passive_checkpoint(c) {
#ifdef MUTATE_NO_CHECKPOINT_LOCK
  copy_frames(c);
  d_step { c.max_frame = 0; c.salt = 0 }
#else
  lock_checkpoint();
  if
  :: checkpoint_lock == id ->
     copy_frames(c);
     unlock_checkpoint(c)
  :: else
  fi
#endif
}

/* TRUNCATE makes the log file empty. LogCutter::StartLogOver keeps it and writes the header of the next log. */
inline cut_log() {
  d_step {
#ifdef CUTS
    file_salt = salt; started_over = salt;
#else
    file_salt = 0;
    i = 1;
    do
    :: i <= FRAMES -> frame_salt[i] = 0; i++
    :: else -> break
    od;
    i = 0;
#endif
    commit_is_written = false
  }
}

/* sqlite3WalCheckpoint, TRUNCATE, or FULL where `truncates` is 0. Without the write lock it is PASSIVE. */
inline blocking_checkpoint(c, truncates) {
  lock_checkpoint();
  if
  :: checkpoint_lock == id ->
#ifndef MUTATE_TRUNCATE_WITHOUT_WRITE_LOCK
     lock_write();
#endif
     copy_frames(c);
#ifdef MUTATE_TRUNCATE_WITHOUT_WRITE_LOCK
     d_step { seen = backfill };
     if
     :: truncates && seen >= c.max_frame ->
#else
     d_step { seen = backfill };
     if
     :: truncates && write_lock == id && seen >= c.max_frame ->
#endif
        lock_all_marks();
        if
        :: owned != 0 ->
           restart_header(c);
           cut_log();
           unlock_all_marks()
        :: else
        fi
     :: else
     fi;
     seen = 0;
     d_step {
       if
       :: write_lock == id -> write_lock = 0
       :: else
       fi
     };
     unlock_checkpoint(c)
  :: else
  fi
}
