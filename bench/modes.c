/* SPDX-License-Identifier: MIT */
/*
 * modes own|sibling|twice OBJECTS PASSES ROUNDS: allocates so many objects of 96 bytes and frees them, through the same
 * child or another one, PASSES times in the first round, twice that in the second, and so on. Twice: each again through the
 * other one, which most modes report. Prints the nanoseconds of an
 * allocation and a free, a line for each round. What the library does meanwhile is the environment's business:
 * bench/modes runs this with SLAB_DEBUG or SLAB_SAMPLE set, and without.
 */
#include "slab.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { item_size = 96, hint = 64, most = 100000 };

static struct slab_parent_pool parent;
static struct slab_child_pool child, sibling;
static void *objects[most];

/* Allocates `count` and frees them, the last one first, through `to`: so many times. What valgrind is told to count. */
__attribute__((noinline)) void bench_measured(struct slab_child_pool *to, size_t count, size_t passes);

void
bench_measured(struct slab_child_pool *to, size_t count, size_t passes)
{
   /* As the benchmark's loop of pairs. */
   while (count == 1 && passes-- > 0) {
      void *object = slab_alloc(&child);

      __asm__ volatile("" : "+r"(object) : : "memory");
      slab_free(to, object);
   }
   while (count != 1 && passes-- > 0) {
      size_t i;

      for (i = 0; i < count; i++)
         objects[i] = slab_alloc(&child);
      __asm__ volatile("" : : : "memory");
      while (i > 0)
         slab_free(to, objects[--i]);
   }
}

/* The same, and frees each object again. */
__attribute__((noinline)) void bench_measured_twice(struct slab_child_pool *to, size_t count, size_t passes);

void
bench_measured_twice(struct slab_child_pool *to, size_t count, size_t passes)
{
   while (passes-- > 0) {
      size_t i;

      for (i = 0; i < count; i++)
         objects[i] = slab_alloc(&child);
      while (i > 0)
         slab_free(&child, objects[--i]);
      for (; i < count; i++)
         slab_free(to, objects[i]);
   }
}

static double
now(void)
{
   struct timespec time;

   clock_gettime(CLOCK_MONOTONIC, &time);
   return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

int
main(int argc, char **argv)
{
   void (*measured)(struct slab_child_pool *, size_t, size_t) = bench_measured;
   struct slab_child_pool *to;
   size_t count, rounds, passes, i;

   if (argc != 5)
      return 2;
   to = strcmp(argv[1], "own") == 0 ? &child : &sibling;
   if (strcmp(argv[1], "twice") == 0)
      measured = bench_measured_twice;
   count = strtoul(argv[2], NULL, 10);
   passes = strtoul(argv[3], NULL, 10);
   rounds = strtoul(argv[4], NULL, 10);
   if (count == 0 || count > most)
      return 2;
   slab_create_parent(&parent, item_size, hint);
   slab_create_child(&child, &parent);
   slab_create_child(&sibling, &parent);
   measured(to, count, passes);
   for (i = 1; i <= rounds; i++) {
      double start = now();

      measured(to, count, i * passes);
      printf("%.3f\n", (now() - start) / (double)(count * passes * i));
   }
   slab_destroy_child(&child);
   slab_destroy_child(&sibling);
   slab_destroy_parent(&parent);
   return 0;
}
