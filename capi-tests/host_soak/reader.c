/* SPDX-License-Identifier: MIT */
/* The thread that reads stderr: slowly, not at all until the pipe is full, or from a new pipe as the old one breaks. */
#include "program.h"

#include "must.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

enum { pipe_bytes = 4096, others_go_on = 5000 /* allocations while the pipe is full */ };

int program_stderr;
int reader_may_end;

static bool
is_report_of(const char *line, const char *pool)
{
   return strncmp(line, "mesa-slab: ", 11) == 0 && strstr(line, pool) && strstr(line, "double free");
}

/* Lines that begin with a space belong to the report before. */
static void
count_line(const char *line)
{
   if (is_report_of(line, "forked"))
      soak_count(soak, soak_reports_of_forked_read, 1);
   else if (is_report_of(line, "misused"))
      soak_count(soak, soak_reports_read, 1);
   else if (line[0] != ' ') {
      soak_count(soak, soak_unexpected_reports, 1);
      dprintf(program_stderr, "unexpected: %s\n", line);
   }
}

static char text[pipe_bytes + 1];
static size_t text_length;

/* Reads what there is; returns whether there was anything, and sets *at_end if nobody can write any more. */
static bool
read_some(int from, bool *at_end)
{
   char *line = text, *end;
   ssize_t got;

   soak_does(self, soak_reads_pipe);
   got = read(from, text + text_length, sizeof(text) - 1 - text_length);
   *at_end = got == 0;
   if (got <= 0) {
      MUST(got == 0 || errno == EAGAIN);
      return false;
   }
   text_length += (size_t)got;
   text[text_length] = 0;
   for (; (end = strchr(line, '\n')) != NULL; line = end + 1) {
      *end = 0;
      count_line(line);
   }
   text_length -= (size_t)(line - text);
   memmove(text, line, text_length);
   return true;
}

/* All that was written by now. A line is one write, which a pipe takes in one piece. */
static void
read_all(int from)
{
   bool at_end;

   while (read_some(from, &at_end))
      ;
   MUST(text_length == 0);
}

/* The same, but leaves the pipe full, so that whoever waits for room goes on waiting. */
static void
read_copy(void)
{
   int ends[2];

   MUST(pipe2(ends, O_NONBLOCK | O_CLOEXEC) == 0);
   MUST(tee(reading_end, ends[1], pipe_bytes, SPLICE_F_NONBLOCK) > 0 || errno == EAGAIN);
   read_all(ends[0]);
   close(ends[0]);
   close(ends[1]);
}

/* Makes a new pipe stderr, and returns the reading end of the old one, which is none the first time. */
int
change_pipe(bool first)
{
   int ends[2], old = -1;

   MUST(pthread_mutex_lock(&pipe_change) == 0);
   MUST(pipe2(ends, O_NONBLOCK | O_CLOEXEC) == 0);
   MUST(fcntl(ends[1], F_SETFL, 0) == 0);
   MUST(fcntl(ends[1], F_SETPIPE_SZ, pipe_bytes) >= 0);
   if (!first) {
      old = dup(reading_end);
      MUST(old >= 0);
   }
   MUST(dup2(ends[1], STDERR_FILENO) == STDERR_FILENO);
   MUST(dup2(ends[0], reading_end) == reading_end);
   close(ends[0]);
   close(ends[1]);
   MUST(pthread_mutex_unlock(&pipe_change) == 0);
   return old;
}

/* Changes to a new pipe, and reads the old one until nobody has it. Nothing may be lost. */
static void
hand_over(void)
{
   int old = change_pipe(false);
   bool at_end = false;

   while (!at_end) {
      if (!read_some(old, &at_end))
         usleep(100);
   }
   MUST(text_length == 0);
   close(old);
}

static bool
is_full(void)
{
   struct pollfd writing = {STDERR_FILENO, POLLOUT, 0};

   return poll(&writing, 1, 0) == 0;
}

/* Reads nothing until the pipe is full and the threads that do not report have gone on. */
static void
let_fill(void)
{
   uint64_t allocations;
   int i;

   for (i = 0; i < 3000 && !is_full() && !stopped(); i++) {
      soak_does(self, soak_fills_pipe);
      usleep(1000);
   }
   if (!is_full())
      return;
   allocations = soak_counted(soak, soak_allocations);
   while (soak_counted(soak, soak_allocations) < allocations + others_go_on && !stopped())
      usleep(100);
   soak_count(soak, soak_pipes_filled, 1);
}

/*
 * Closes the reading end, which may be while somebody waits for it. What was reported before is read; what is reported
 * until there is a new pipe may be lost.
 */
static void
break_pipe(bool full)
{
   uint64_t made = soak_counted(soak, soak_reports_made), forks = soak_counted(soak, soak_forks);
   int i;

   if (full)
      read_copy();
   else
      read_all(reading_end);
   MUST(pthread_mutex_lock(&pipe_change) == 0);
   MUST(dup2(nowhere, reading_end) == reading_end);
   MUST(pthread_mutex_unlock(&pipe_change) == 0);
   for (i = 0; i < 500 && soak_counted(soak, soak_forks) < forks + 2 && !stopped(); i++) {
      soak_does(self, soak_nothing);
      usleep(1000);
   }
   close(change_pipe(false));
   soak_count(soak, soak_reports_excused, soak_counted(soak, soak_reports_begun) - made);
   soak_count(soak, soak_pipes_broken, 1);
}

void *
read_stderr(void *arg)
{
   bool at_end;

   (void)arg;
   while (!__atomic_load_n(&reader_may_end, __ATOMIC_ACQUIRE)) {
      int i, rounds = (int)soak_random(self, 200);

      for (i = 0; i < rounds; i++) {
         if (!read_some(reading_end, &at_end))
            usleep(200);
      }
      switch (stopped() ? 4 : soak_random(self, 4)) {
      case 0:
         let_fill();
         break;
      case 1:
         hand_over();
         break;
      case 2:
         let_fill();
         break_pipe(true);
         break;
      case 3:
         break_pipe(false);
         break;
      default:
         break;
      }
   }
   hand_over();
   return NULL;
}
