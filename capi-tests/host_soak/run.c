/* SPDX-License-Identifier: MIT */
/* The process that is watched: a short round with everything in it, then the soak, and what is left of it. */
#include "program.h"

#include "must.h"
#include "slab_ext.h"

#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

int nowhere;
enum plant plant;

struct role {
   enum soak_place place;
   void *(*body)(void *);
};

/* In the order in which they are joined; the reader is the last one, as others wait for it. */
static const struct role roles[] = {
   {soak_sender, send_signals},     {soak_user_0, use_shared_pools}, {soak_user_1, use_shared_pools},
   {soak_user_2, use_shared_pools}, {soak_alone, use_own_pool},      {soak_forker, fork_in_thread},
   {soak_canceller, cancel},        {soak_loader, load_drivers},     {soak_reader, read_stderr},
};

enum { role_count = sizeof(roles) / sizeof(roles[0]) };

static const enum soak_kind of_each[] = {
   soak_allocations,   soak_signals,          soak_cancellations, soak_forks,        soak_forks_in_signals,
   soak_forks_gone_on, soak_forks_in_reports, soak_loads,         soak_pipes_filled, soak_pipes_broken,
};

static bool
each_was_done(uint64_t times)
{
   size_t i;

   for (i = 0; i < sizeof(of_each) / sizeof(of_each[0]); i++) {
      /* A driver that stays loaded, as with guarded objects, makes its reports once. */
      if (soak_counted(soak, of_each[i]) < (of_each[i] == soak_forks_in_reports ? 1 : times))
         return false;
   }
   return true;
}

static time_t
now(void)
{
   struct timespec time;

   MUST(clock_gettime(CLOCK_MONOTONIC, &time) == 0);
   return time.tv_sec;
}

static void
do_what_is_planted(void)
{
   struct slab_mempool pool;

   switch (plant) {
   case plant_nothing:
      break;
   case plant_hang:
      pause();
      break;
   case plant_crash:
      raise(SIGSEGV);
      break;
   case plant_leak:
      slab_create(&pool, 96, 16);
      MUST(slab_alloc_st(&pool));
      slab_destroy(&pool);
      break;
   case plant_report:
      dprintf(STDERR_FILENO, "mesa-slab: planted\n");
      break;
   }
}

static void *
do_planted(void *arg)
{
   (void)arg;
   do_what_is_planted();
   return NULL;
}

static size_t
held_bytes(void)
{
   struct slab_heap_stats stats;

   slab_trim_heap();
   stats.struct_size = sizeof(stats);
   slab_get_heap_stats(&stats);
   return stats.held;
}

/* Everything, until so many seconds have gone by and each thing was done so often. */
static void
run(time_t seconds, uint64_t times, uint64_t seed, bool planted)
{
   pthread_t threads[role_count], extra;
   time_t end = now() + seconds;
   int i;
   unsigned pool;

   soak->stop = 0;
   reader_may_end = 0;
   for (i = 0; i < soak_places; i++)
      soak->threads[i].random = (seed + 1) * 0x9e3779b97f4a7c15 + (uint64_t)i * 0xd1342543de82ef95 + 1;
   for (pool = 0; pool < pool_count; pool++)
      slab_create_parent(&pools[pool], sizes[pool], 32);
   for (i = 0; i < interrupted_count; i++)
      slab_create_child(&of_handlers[i], &pools[1]);
   change_pipe(true);
   for (i = role_count - 1; i >= 0; i--) {
      soak_start(soak, &threads[i], roles[i].place, roles[i].body);
      if ((int)roles[i].place < interrupted_count)
         interrupted[roles[i].place] = threads[i];
   }
   if (planted)
      soak_start(soak, &extra, soak_planted, do_planted);
   while (now() < end || !each_was_done(times))
      usleep(10000);
   if (planted)
      soak_join(soak, extra, soak_planted, false);
   __atomic_store_n(&soak->stop, 1, __ATOMIC_RELAXED);
   for (i = 0; i < role_count; i++) {
      if (roles[i].place == soak_reader)
         __atomic_store_n(&reader_may_end, 1, __ATOMIC_RELEASE);
      soak_join(soak, threads[i], roles[i].place, false);
   }
   MUST(dup2(program_stderr, STDERR_FILENO) == STDERR_FILENO);
   close(reading_end);

   for (pool = 0; pool < pool_count; pool++) {
      struct slab_child_pool child;

      slab_create_child(&child, &pools[pool]);
      for (i = 0; i < slot_count; i++) {
         if (slots[pool][i])
            drop(&child, slots[pool][i], pool);
         slots[pool][i] = NULL;
      }
      slab_destroy_child(&child);
   }
   for (i = 0; i < interrupted_count; i++)
      slab_destroy_child(&of_handlers[i]);
   for (pool = 0; pool < pool_count; pool++)
      slab_destroy_parent(&pools[pool]);
}

/* What is mapped, but for malloc's memory and the main thread's stack. */
static size_t
mapped_bytes(unsigned *mappings)
{
   static char maps[1 << 20];
   size_t length = 0, bytes = 0;
   char *line = maps, *end;
   int file = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
   ssize_t got;

   MUST(file >= 0);
   while ((got = read(file, maps + length, sizeof(maps) - 1 - length)) > 0)
      length += (size_t)got;
   close(file);
   maps[length] = 0;
   *mappings = 0;
   for (; (end = strchr(line, '\n')) != NULL; line = end + 1) {
      unsigned long long from, to;

      *end = 0;
      MUST(sscanf(line, "%llx-%llx", &from, &to) == 2);
      if (!strstr(line, "[heap]") && !strstr(line, "[stack]")) {
         bytes += (size_t)(to - from);
         ++*mappings;
      }
   }
   return bytes;
}

static bool
is_recorded(void)
{
   const char *modes = getenv("SLAB_DEBUG");

   return modes && strstr(modes, "trace");
}

int
be_watched(time_t seconds, uint64_t seed)
{
   unsigned mappings_before, mappings;
   size_t bytes_before, bytes;

   mallopt(M_ARENA_MAX, 1);
   program_stderr = dup(STDERR_FILENO);
   nowhere = open("/dev/null", O_RDWR | O_CLOEXEC);
   MUST(program_stderr >= 0 && nowhere >= 0);
   /* What this program itself has to say is no report. */
   stderr = fdopen(program_stderr, "w");
   if (!stderr || setvbuf(stderr, NULL, _IONBF, 0) != 0)
      return 3;
   self = &soak->threads[soak_main];
   block(SIG_BLOCK, SIGUSR1);
   block(SIG_BLOCK, SIGUSR2);
   set_handlers();

   run(0, 1, seed, false);
   MUST(held_bytes() == 0);
   bytes_before = mapped_bytes(&mappings_before);
   run(seconds, 3, seed + 1, plant != plant_nothing);
   soak_count(soak, soak_bytes_left, held_bytes());
   bytes = mapped_bytes(&mappings);
   /* A recording keeps a table of the pools that it has told of, which grows with them. */
   if (!is_recorded() && (bytes != bytes_before || mappings != mappings_before)) {
      fprintf(stderr, "%zu bytes in %u mappings, before %zu in %u\n", bytes, mappings, bytes_before, mappings_before);
      soak_count(soak, soak_bytes_left, bytes > bytes_before ? bytes - bytes_before : 1);
   }
   return 0;
}
