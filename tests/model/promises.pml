/* What must hold in each state, beside the assertions in read_page and restart_log */

/* A crash of all processes, with all that was written kept: what walIndexRecover makes of the files is the last commit,
   or the one whose last frame is written. The step changes nothing, so it can be taken in each state. */
#define VALID(f) (frame_salt[f] == file_salt && (f == 1 || frame_after[f] == frame_version[f - 1]))
proctype Crash() {
  byte f = 0;
  byte found1 = 0;
  byte found2 = 0;
  byte new1 = 0;
  byte new2 = 0;
end:
  do
  :: d_step {
       found1 = db[1]; found2 = db[2]; new1 = db[1]; new2 = db[2];
       f = 1;
       do
       :: f <= FRAMES && file_salt != 0 && VALID(f) ->
          if
          :: frame_page[f] == 1 -> new1 = frame_version[f]
          :: else -> new2 = frame_version[f]
          fi;
          if
          :: frame_ends[f] -> found1 = new1; found2 = new2
          :: else
          fi;
          f++
       :: else -> break
       od;
       if
       :: commit_is_written -> assert(found1 == written[1] && found2 == written[2])
       :: else -> assert(found1 == committed[1] && found2 == committed[2])
       fi;
       f = 0; found1 = 0; found2 = 0; new1 = 0; new2 = 0
     }
  od
}

/* nBackfill never exceeds mxFrame, and one process copies at a time. */
proctype Limits() {
end:
  atomic {
#ifdef PAGES_ONLY
    copying > 1
#else
    (backfill > max_frame && !starts_over) || copying > 1
#endif
    -> assert(false)
  }
}
