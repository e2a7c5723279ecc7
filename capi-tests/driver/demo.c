/* SPDX-License-Identifier: MIT */
#include "demo.h"

#include "mappings.h"
#include "own_process.h"
#include "replay.h"
#include "replay_threads.h"
#include "replay_time.h"
#include "share_group.h"

#include <stdio.h>
#include <string.h>

/* One line of the table. Shared with the process that makes the replay. */
struct row {
   const char *path;
   const struct trace *trace;
   struct replay_result held;
   struct replay_times times;
};

/* The file's name without its directory and its ending. */
static void
trace_name(const char *path, char name[32])
{
   const char *slash = strrchr(path, '/');

   snprintf(name, 32, "%s", slash ? slash + 1 : path);
   name[strcspn(name, ".")] = '\0';
}

static bool
load(struct trace *trace, const char *path)
{
   char error[TRACE_ERROR_SIZE];

   if (trace_read(trace, path, error))
      return true;
   fprintf(stderr, "%s: %s\n", path, error);
   return false;
}

static bool
replay_row(void *data)
{
   struct row *row = (struct row *)data;
   char error[REPLAY_ERROR_SIZE];

   if (replay_checked(row->trace, &library_allocator, &row->held, error))
      return true;
   fprintf(stderr, "%s: %s\n", row->path, error);
   return false;
}

static bool
time_row(void *data)
{
   struct row *row = (struct row *)data;

   if (replay_time(row->trace, &row->times))
      return true;
   fprintf(stderr, "%s: out of memory\n", row->path);
   return false;
}

bool
check_traces(int count, char *const *paths)
{
   struct row *row = (struct row *)shared_memory(sizeof(*row));

   for (int i = 0; i < count; i++) {
      struct trace trace;

      if (!load(&trace, paths[i]))
         return false;
      row->path = paths[i];
      row->trace = &trace;
      if (!in_own_process_with(replay_row, row))
         return false;
      printf("%s: %zu calls, %zu objects, at most %zu at once: distinct, aligned, contents kept\n", paths[i],
             trace.recorded, trace.totals.allocs, trace.totals.peak_live);
      trace_release(&trace);
   }
   return true;
}

bool
check_traces_with_threads(int count, char *const *paths)
{
   for (int i = 0; i < count; i++) {
      struct trace trace;
      char error[REPLAY_ERROR_SIZE];

      if (!load(&trace, paths[i]))
         return false;
      bool good = replay_threads(&trace, error);
      if (good)
         printf("%s: %zu calls: contents kept\n", paths[i], trace.recorded);
      else
         fprintf(stderr, "%s: %s\n", paths[i], error);
      trace_release(&trace);
      if (!good)
         return false;
   }
   return true;
}

static void
print_head(void)
{
   printf("%-27s %11s %12s %8s %26s %6s %13s %12s\n", "", "", "children", "", "frees through", "live", "held, KiB",
          "ns per call");
   printf("%-27s %11s %6s %5s %8s %8s %8s %8s %6s %6s %6s %6s %5s\n", "trace", "bytes x num", "total", "peak", "allocs",
          "own", "sibling", "dead", "peak", "peak", "end", "net", "loop");
}

static void
print_row(const struct row *row)
{
   const struct trace_totals *totals = &row->trace->totals;
   char name[32], items[32], net[MEDIAN_TEXT_SIZE];

   trace_name(row->path, name);
   snprintf(items, sizeof(items), "%u x %u", totals->item_size, totals->num_items);
   samples_median_text(&row->times.net, 1, net);
   printf("%-27s %11s %6zu %5zu %8zu %8zu %8zu %8zu %6zu %6zu %6zu %6s %5.1f\n", name, items, totals->children,
          totals->peak_children, totals->allocs, totals->frees_own, totals->frees_sibling, totals->frees_dead,
          totals->peak_live, row->held.peak_bytes / 1024, row->held.final_bytes / 1024, net,
          samples_quantile(&row->times.loop, 0.5));
}

static void
print_legend(void)
{
   printf("\n"
          "Every object was checked: aligned, no byte shared with another live object, zeroed where\n"
          "asked for, and its contents at the free as they were written after the allocation.\n"
          "children  child pools in all, and existing at the same time\n"
          "own       freed through the child it was allocated from\n"
          "sibling   freed through another child\n"
          "dead      freed after the child it was allocated from was destroyed\n"
          "held      memory behind the library's mappings, bookkeeping included; the end is after\n"
          "          the last pool is destroyed, with what the library keeps for reuse\n"
          "net       a second replay, unchecked, in one thread: time of all calls, zeroing included, by\n"
          "          their number, less the time of the same loop around functions that do nothing;\n"
          "          hidden: in a quarter of the rounds or more, the calls took no longer than those\n"
          "loop      the time that was subtracted\n");
}

bool
demo(int count, char *const *paths)
{
   struct row *row = (struct row *)shared_memory(sizeof(*row));

   if (!in_own_process(mappings_work) || !in_own_process(share_group_run))
      return false;

   printf("\nRecorded drivers, replayed\n");
   print_head();
   for (int i = 0; i < count; i++) {
      struct trace trace;

      if (!load(&trace, paths[i]))
         return false;
      memset(row, 0, sizeof(*row));
      row->path = paths[i];
      row->trace = &trace;
      if (!in_own_process_with(replay_row, row) || !in_own_process_with(time_row, row))
         return false;
      print_row(row);
      trace_release(&trace);
   }
   print_legend();
   return true;
}
