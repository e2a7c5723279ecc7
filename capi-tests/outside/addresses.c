/* SPDX-License-Identifier: MIT */

/* A program for slabtool to look at: it says in a file what 10,000 addresses are, and then waits until its input ends.
 *
 *    addresses FILE [crash]     crash: dumps core in place of waiting
 *
 * For each byte of its input it allocates 1000 objects more.
 *
 * Pools have several sizes, large objects among them; one has a name, one is destroyed with objects out. What comes back
 * lies in slabs, in depots and in children. A line of the file is an address, a space, and what it is:
 *
 *    out OBJECT         an object that the program has, or within it
 *    free OBJECT        the same of one that it has given back
 *    nothing            an address that is none of the library's
 */

#include "let_look.h"

#include <slab.h>
#include <slab_ext.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ADDRESSES 10000
#define POOLS 7
#define CHILDREN 3
#define MARKS 100

static const struct {
   unsigned size, hint, objects;
   const char *name;
} kinds[POOLS] = {
   {96, 64, 20000, "transfers"}, {8, 16, 3000, NULL},        {40, 4096, 9000, "a name that is \"odd\""},
   {1000, 16, 900, NULL},        {66632, 4, 20, "commands"}, {5u << 20, 1, 3, "large"},
   {208, 1, 2000, "to be gone"},
};

struct object {
   char *start;
   int is_out;
};

static struct object *objects[POOLS];

static uint64_t state = 88172645463325252u;

static uint64_t
draw(void)
{
   state ^= state << 13;
   state ^= state >> 7;
   state ^= state << 17;
   return state;
}

/* What objects of the pool "marked" point at, as others do at the table of their functions. */
extern const int first_kind, second_kind;
const int first_kind = 1, second_kind = 2;

struct marked {
   char text[16];
   const int *kind;
   char rest[40];
};

static struct slab_mempool marked;
static struct marked *marks[MARKS];
static int marks_made;

/* Allocates from there. */
static inline __attribute__((always_inline)) int
make_marked(int count, const int *kind)
{
   for (int i = 0; i < count; i++) {
      struct marked *object = (struct marked *)slab_alloc_st(&marked);

      if (!object)
         return 1;
      *object = (struct marked){"marked object", kind, ""};
      if (marks_made < MARKS)
         marks[marks_made++] = object;
   }
   slab_trim_child(&marked.child);
   return 0;
}

/* Says what an address is that is in an object, or was: its place may be another one's by now. */
static void
say_object(FILE *file, int pool, const struct object *object, const char *address)
{
   const char *start = object->start, *name = kinds[pool].name;
   char title[32];

   for (int i = 0; i < MARKS && !object->is_out; i++) {
      if ((size_t)(address - (const char *)marks[i]) < sizeof(struct marked)) {
         fprintf(file, "%#" PRIxPTR " out %#" PRIxPTR " marked\n", (uintptr_t)address, (uintptr_t)marks[i]);
         return;
      }
   }
   for (int other = 0; other < POOLS && !object->is_out; other++) {
      for (unsigned i = 0; i < kinds[other].objects; i++) {
         const struct object *holder = &objects[other][i];

         if (holder->is_out && (size_t)(address - holder->start) < kinds[other].size) {
            say_object(file, other, holder, address);
            return;
         }
      }
   }
   snprintf(title, sizeof(title), "%ux%u", kinds[pool].size, kinds[pool].hint);
   fprintf(file, "%#" PRIxPTR " %s %#" PRIxPTR " %s\n", (uintptr_t)address, object->is_out ? "out" : "free",
           (uintptr_t)start,
           pool == POOLS - 1 ? "(gone)"
           : name            ? name
                             : title);
}

int
main(int argc, char **argv)
{
   static struct slab_parent_pool pools[POOLS];
   static struct slab_child_pool children[POOLS][CHILDREN];

   if (argc < 2)
      return 2;
   let_look();
   for (int pool = 0; pool < POOLS; pool++) {
      unsigned count = kinds[pool].objects;

      slab_create_parent(&pools[pool], kinds[pool].size, kinds[pool].hint);
      if (kinds[pool].name)
         slab_set_name(&pools[pool], kinds[pool].name);
      for (int child = 0; child < CHILDREN; child++)
         slab_create_child(&children[pool][child], &pools[pool]);
      objects[pool] = (struct object *)calloc(count, sizeof(struct object));
      if (!objects[pool])
         return 1;
      for (unsigned i = 0; i < count; i++) {
         objects[pool][i].start = (char *)slab_alloc(&children[pool][i % CHILDREN]);
         objects[pool][i].is_out = 1;
         if (!objects[pool][i].start)
            return 1;
      }
      for (unsigned i = 0; i < count; i++) {
         if (draw() % 3 == 0) {
            slab_free(&children[pool][draw() % CHILDREN], objects[pool][i].start);
            objects[pool][i].is_out = 0;
         }
      }
   }
   /* What a child leaves goes to the depot. */
   slab_destroy_child(&children[0][2]);
   slab_destroy_child(&children[2][1]);
   slab_trim_child(&children[1][0]);
   for (int child = 0; child < CHILDREN; child++)
      slab_destroy_child(&children[POOLS - 1][child]);
   slab_destroy_parent(&pools[POOLS - 1]);

   slab_create(&marked, sizeof(struct marked), 16);
   slab_set_name(&marked.parent, "marked");
   if (make_marked(60, &first_kind) || make_marked(MARKS - 60, &second_kind))
      return 1;

   FILE *file = fopen(argv[1], "w");
   if (!file)
      return 1;
   for (int i = 0; i < ADDRESSES; i++) {
      uint64_t dice = draw();

      if (i % 10 == 0) {
         /* The program's own memory, and addresses at random, of which there are enough on 64-bit machines. */
         const char *own[] = {(const char *)&pools, (const char *)objects[0], (const char *)&dice};
         int is_random = i % 20 != 0 && sizeof(void *) == 8;
         uintptr_t address = is_random ? (uintptr_t)(dice & 0x7fffffffffff) : (uintptr_t)(own[dice % 3] + dice % 64);

         if (is_random)
            address |= 1;
         fprintf(file, "%#" PRIxPTR " %s\n", address, is_random ? "random" : "nothing");
      } else {
         int pool = (int)(dice % POOLS);
         const struct object *object = &objects[pool][(dice >> 8) % kinds[pool].objects];
         size_t offset = i % 3 ? 0 : (size_t)(draw() % kinds[pool].size);

         say_object(file, pool, object, object->start + offset);
      }
   }
   if (fclose(file) != 0)
      return 1;
   if (argc > 2)
      abort();
   printf("ready\n");
   fflush(stdout);
   while (getchar() != EOF) {
      if (make_marked(1000, &first_kind))
         return 1;
   }
   return 0;
}
