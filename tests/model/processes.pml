/* The processes that wal.pml chooses from, and what a kill does to them */

/* All locks of a process that was killed are freed by the system. */
#define RELEASE(i) \
  exclusive[i] = exclusive[i] && !(owned & (1 << i))
#define FREE_LOCKS(c) \
  if                  \
  :: c.lock != NONE -> shared[c.lock]-- \
  :: else             \
  fi;                 \
  c.lock = NONE; c.max_frame = 0; c.salt = 0; c.min_frame = 0; c.sees[1] = 0; c.sees[2] = 0
#define FREE_ALL \
  RELEASE(0); RELEASE(1); RELEASE(2); owned = 0; \
  if                                             \
  :: write_lock == id -> write_lock = 0; starts_over = false \
  :: else                                        \
  fi;                                            \
  if                                             \
  :: checkpoint_lock == id -> checkpoint_lock = 0 \
  :: else                                        \
  fi;                                            \
  FREE_LOCKS(guard);                             \
  own.max_frame = 0; own.salt = 0;               \
  safe = 0; newest1 = 0; newest2 = 0; seen = 0; i = 0; m = NONE; is_complete = false

byte killed; /* the process that is killed now */
byte kills;
#ifndef KILLS
#define KILLS 0
#endif
proctype Killer(byte first_id; byte second_id) {
end:
  do
  :: kills < KILLS && killed == 0 ->
     if
     :: d_step { kills++; killed = first_id }
     :: d_step { kills++; killed = second_id }
     fi
  od
}

/* Time passes at the gate. */
proctype Clock() {
end:
  do
  :: d_step { gate != 0 && !gate_is_over -> gate_is_over = true }
  od
}

/* Once all have ended, all is copied and nothing is at work, one more commit starts the log over. */
bool last_is_done;
inline commit_last() {
  d_step {
    commits == COMMITS && readers == 0 && backfill == max_frame && lease == 0 && checkpoint_lock == 0 &&
      write_lock == 0 && ALL_MARKS_ARE_FREE && IS_FREE(0);
    limit++; last_salt = salt
  };
  transaction(c);
  assert(salt == last_salt + 1);
  last_is_done = true
}

/* A connection without walmanager, or one of walmanager's that waits at the gate, or one that also finishes */
#define BARE 0
#define WAITS 1
#define FINISHES 2
proctype Writer(byte id; byte role) {
  ENGINE_LOCALS;
  CHECKPOINTER_LOCALS;
  WRITER_LOCALS;
  byte g = 0;
  c.lock = NONE; guard.lock = NONE; own.lock = NONE;
  {
    do
    :: commits < COMMITS ->
       transaction(c);
       if
       :: role >= WAITS -> wait_at_gate()
       :: else
       fi;
       if
       :: role == FINISHES -> finish_remainder()
       :: else
       fi
    :: commits >= COMMITS -> break
    od
  } unless {
    killed == id;
    d_step {
      FREE_ALL;
      FREE_LOCKS(c);
      first = 0; second = 0; version = 0; g = 0; killed = 0
    }
  }
}

/* BackgroundCopier::Tick and CopyPasses::Copy in the thread that copies, of one process */
proctype Copier(byte id) {
  ENGINE_LOCALS;
  CHECKPOINTER_LOCALS;
  guard.lock = NONE; own.lock = NONE;
again:
  {
end:
    do
#ifdef STALE_LOOK
    :: true ->
#else
    :: backfill != max_frame ->
#endif
#ifdef MUTATE_NO_LEASE
       d_step { copying++ };
#else
       d_step { lease == 0 -> lease = id; copying++ };
#endif
       do
       :: guarded_pass();
#ifdef WITH_PROBES
          if
          :: !is_complete -> probe_marks()
          :: else
          fi;
#endif
#ifdef ONE_PASS
          break;
#endif
          if
          :: is_complete -> break
#if defined(WITH_FINISHING)
          :: !is_complete -> prepared = salt; break /* little is left */
#else
          :: !is_complete -> break
#endif
          :: !is_complete -> skip
          fi
       od;
       skip; /* Spin allows no jump into a d_step. */
       d_step { is_complete = false; copying--; lease = 0 }
#ifdef ONE_PASS
       ;break
#endif
    od
  } unless {
    killed == id;
    d_step {
      if
      :: lease == id ->
         copying--;
#ifndef MUTATE_LEASE_OUTLIVES
         lease = 0
#endif
      :: else
      fi;
      FREE_ALL;
      killed = 0
    };
    goto again
  }
}

/* A process without walmanager whose commits checkpoint, as SQLite's do by themselves */
proctype Third(byte id) {
  ENGINE_LOCALS;
  CHECKPOINTER_LOCALS;
  WRITER_LOCALS;
  c.lock = NONE; guard.lock = NONE; own.lock = NONE;
  do
  :: commits < COMMITS -> transaction(c)
  :: commits < COMMITS -> passive_checkpoint(own)
  :: commits >= COMMITS -> break
  od
}

/* Readers come and go, READS in all; 0: without end. */
#ifndef READS
#define READS 0
#endif
proctype Reader() {
  ENGINE_LOCALS;
  Connection c;
  byte reads = 0;
  c.lock = NONE;
end:
  do
  :: READS == 0 || reads < READS ->
     begin_read(c);
#ifdef READERS_END
     read_page(c, 1);
     read_page(c, 2);
     end_read(c);
#else
     do
     :: read_page(c, 1)
     :: read_page(c, 2)
     :: end_read(c); break
     od;
#endif
     if
     :: READS != 0 -> reads++
     :: else
     fi
  :: READS != 0 && reads == READS -> readers--; break
  od
}

proctype Last(byte id) {
  ENGINE_LOCALS;
  WRITER_LOCALS;
  byte last_salt = 0;
  c.lock = NONE;
  commit_last()
}

/* A call of wal_checkpoint('TRUNCATE'), or LogCutter::StartLogOver, and LogCutter::Cut */
#ifndef TRUNCATES
#define TRUNCATES 1
#endif
proctype Cutter(byte id) {
  ENGINE_LOCALS;
  CHECKPOINTER_LOCALS;
  byte times = 0;
  byte started_over = 0; /* log_started_over_ */
  byte keeps = 0;
  guard.lock = NONE; own.lock = NONE;
  do
  :: times < TRUNCATES -> times++; guarded_truncate(); is_complete = false
#ifdef CUTS
  :: times < TRUNCATES ->
     times++;
     lock_write();
     if
     :: write_lock == id ->
        lock_all_marks(); /* IsPinned */
        if
        :: owned != 0 ->
           unlock_all_marks();
           if
           :: keeps = 0
           :: keeps = 1 /* a step of the cut ends before the limit */
           fi;
           d_step {
             if
#ifdef MUTATE_CUT_WITHOUT_HEADER
             :: true ->
#else
             :: (max_frame > 0 && file_salt == salt) || (max_frame == 0 && started_over == salt) ->
#endif
                i = max_frame + 1 + keeps;
                do
                :: i <= FRAMES -> frame_salt[i] = 0; i++
                :: else -> break
                od;
                i = 0;
                /* Of a transaction that was killed, at most its first frame is left. */
                if
                :: keeps == 1 && max_frame < FRAMES && frame_ends[max_frame + 1]
                :: else -> commit_is_written = false
                fi
             :: else
             fi;
             keeps = 0
           }
        :: else
        fi;
        write_lock = 0
     :: else
     fi
#endif
  :: times == TRUNCATES -> break
  od
}
