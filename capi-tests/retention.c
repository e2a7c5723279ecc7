/* SPDX-License-Identifier: MIT */
/*
 * How much memory is held when: prints one table, asserts nothing. Resident memory is the process's own
 * growth; "held" is what slab_get_heap_stats() says. Run by hand, as it waits for the decay time:
 *
 *    cmake --build build --target retention && build/retention
 */
#include "slab.h"
#include "slab_ext.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { many = 1000000, item_size = 96, num_items = 64, contexts = 2000, per_context = 40 };

static void *objects[many];
static struct slab_parent_pool parent;
static struct slab_child_pool maker, freer;
static size_t before, peak;

static size_t
resident(void)
{
   unsigned long size, pages;
   FILE *statm = fopen("/proc/self/statm", "r");

   if (!statm || fscanf(statm, "%lu %lu", &size, &pages) != 2)
      abort();
   fclose(statm);
   return pages * (size_t)sysconf(_SC_PAGESIZE);
}

static size_t
held(void)
{
   struct slab_heap_stats stats;

   stats.struct_size = sizeof(stats);
   slab_get_heap_stats(&stats);
   return stats.held;
}

static void
row(const char *what)
{
   size_t now = resident() - before;

   printf("%-52s %10.2f %10.2f %8.2f %%\n", what, (double)now / (1 << 20), (double)held() / (1 << 20),
          100.0 * (double)now / (double)peak);
}

static void
allocate(int number)
{
   int i;

   for (i = 0; i < number; i++) {
      objects[i] = slab_alloc(&maker);
      if (!objects[i])
         abort();
      memset(objects[i], i, item_size);
   }
}

static void
release(int number)
{
   int i;

   for (i = 0; i < number; i++)
      if (objects[i])
         slab_free(&freer, objects[i]);
}

/* Each context leaves one of its objects behind. */
static void
run_contexts(void)
{
   void *own[per_context];
   int context, i;

   for (context = 0; context < contexts; context++) {
      struct slab_child_pool child;

      slab_create_child(&child, &parent);
      for (i = 0; i < per_context; i++) {
         own[i] = slab_alloc(&child);
         memset(own[i], i, item_size);
      }
      for (i = 0; i < per_context; i++) {
         if (i == context % per_context)
            objects[context] = own[i];
         else
            slab_free(&child, own[i]);
      }
      slab_destroy_child(&child);
   }
}

static void
start(void)
{
   slab_create_parent(&parent, item_size, num_items);
   slab_create_child(&maker, &parent);
   slab_create_child(&freer, &parent);
}

static void
finish(void)
{
   slab_destroy_child(&maker);
   slab_destroy_child(&freer);
   slab_destroy_parent(&parent);
   slab_trim_heap();
}

int
main(void)
{
   size_t flat, trimmed;
   long i;

   memset(objects, 1, sizeof(objects));
   setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
   start();
   before = resident();
   allocate(many);
   peak = resident() - before;
   printf("%d objects of %d bytes, hint %d%31s %10s %10s\n", many, item_size, num_items, "resident, MiB", "held, MiB",
          "of peak");
   row("all live and written");
   printf("   %.2f resident bytes each\n", (double)peak / many);
   release(many);
   row("all freed through a sibling, children alive");
   printf("   %u problems\n", slab_validate(&parent));
   sleep(11);
   /* Enough for a busy child to go to the parent. */
   allocate(1250);
   release(1250);
   row("11 s and 2,500 calls later");
   trimmed = slab_trim_heap();
   row("after slab_trim_heap");
   printf("   it said %zu bytes\n", trimmed);

   allocate(many);
   srand(1);
   for (i = 0; i < many; i++) {
      if (rand() % 50) {
         slab_free(&freer, objects[i]);
         objects[i] = NULL;
      }
   }
   row("one in fifty survives");
   trimmed = slab_trim_parent(&parent);
   row("after slab_trim_parent");
   printf("   it said %zu bytes\n", trimmed);
   trimmed = slab_trim_child(&maker) + slab_trim_child(&freer);
   row("after slab_trim_child of both children");
   printf("   it said %zu bytes\n", trimmed);
   trimmed = slab_trim_heap();
   row("after slab_trim_heap");
   printf("   it said %zu bytes; %u problems\n", trimmed, slab_validate(&parent));
   release(many);
   finish();

   start();
   slab_destroy_child(&maker);
   slab_destroy_child(&freer);
   before = resident();
   run_contexts();
   printf("%d contexts, each leaving one object: %zu KiB resident, %zu KiB held\n", contexts,
          (resident() - before) / 1024, held() / 1024);
   slab_create_child(&freer, &parent);
   release(contexts);
   slab_destroy_child(&freer);
   slab_destroy_parent(&parent);
   slab_trim_heap();

   start();
   flat = 0;
   for (i = 0; i < 10000000; i++) {
      slab_free(&freer, slab_alloc(&maker));
      if (i == 100000)
         flat = held();
   }
   printf("one child allocates, one frees: %zu KiB held after 100,000 rounds, %zu after 10,000,000\n", flat / 1024,
          held() / 1024);
   finish();
   return 0;
}
