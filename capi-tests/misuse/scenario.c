/* SPDX-License-Identifier: MIT */
#include "scenario.h"

#include "must.h"
#ifndef MISUSE_CLASSIC
#include "slab_ext.h"
#endif

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { bystanders = 40, foreign_size = 200, afterwards = 1000, many = 300, neighbour_byte = 0x4e };

/* Written at once, as the next call may end the process. */
static void
write_line(const char *kind, const char *text)
{
   char line[200];
   int length = snprintf(line, sizeof(line), "misuse: %s%s\n", kind, text);

   MUST(length > 0 && (size_t)length < sizeof(line));
   MUST(write(STDERR_FILENO, line, (size_t)length) == length);
}

void
misuse_begins(void)
{
   write_line("", "begins");
}

void
misuse_ends(void)
{
   write_line("", "ends");
}

void
say(const char *fact)
{
   write_line("", fact);
}

void
harm(const char *what)
{
   write_line("harm: ", what);
}

static void
check_structures(struct slab_parent_pool *parent)
{
#ifdef MISUSE_CLASSIC
   (void)parent; /* the 2016 design cannot be checked */
#else
   if (slab_validate(parent) != 0)
      say("slab_validate finds something");
#endif
}

static void
check_bystanders(const struct scenario *scenario)
{
   if (!live_apart(&scenario->live))
      harm("an object went to two users");
   else if (!live_intact(&scenario->live))
      harm("another object has changed");
}

void *
object_of(struct slab_child_pool *child)
{
   void *object = slab_alloc(child);

   MUST(object);
   return object;
}

static void
allocate(struct scenario *scenario, struct slab_child_pool *child, size_t size, int count)
{
   int i;

   for (i = 0; i < count; i++) {
      void *object = slab_alloc(child);

      if (!object) {
         harm("there is no object");
         return;
      }
      live_add(&scenario->live, object, size);
   }
}

void
scenario_begin(struct scenario *scenario)
{
   live_create(&scenario->live, 4 * bystanders + 4 * afterwards);
   slab_create_parent(&scenario->parent, item_size, num_items);
   slab_create_child(&scenario->child, &scenario->parent);
   slab_create_child(&scenario->sibling, &scenario->parent);
   slab_create_parent(&scenario->foreign, foreign_size, num_items);
   slab_create_child(&scenario->stranger, &scenario->foreign);
   allocate(scenario, &scenario->child, item_size, bystanders);
   allocate(scenario, &scenario->sibling, item_size, bystanders);
   allocate(scenario, &scenario->stranger, foreign_size, bystanders);
}

/* Another context comes, works, and goes. */
static void
go_on(struct scenario *scenario, struct slab_parent_pool *parent)
{
   struct slab_child_pool child;
   size_t size = parent->item_size;
   size_t i;

   slab_create_child(&child, parent);
   allocate(scenario, &child, size, afterwards);
   check_bystanders(scenario);
   for (i = 0; i < afterwards / 2; i++) {
      void *object = live_take(&scenario->live, scenario->live.count - 1 - i % 50);

      if (object)
         slab_free(&child, object);
   }
   allocate(scenario, &child, size, afterwards);
   check_bystanders(scenario);
   slab_destroy_child(&child);
}

static void
free_all(struct scenario *scenario, struct slab_parent_pool *parent)
{
   struct live_objects *live = &scenario->live;
   struct slab_child_pool child;
   size_t i = live->count;

   slab_create_child(&child, parent);
   while (i-- > 0) {
      if (live->objects[i].size == parent->item_size) {
         void *object = live_take(live, i);

         if (object)
            slab_free(&child, object);
      }
   }
   slab_destroy_child(&child);
}

void
scenario_free_own(struct scenario *scenario)
{
   free_all(scenario, &scenario->parent);
}

int
scenario_end(struct scenario *scenario)
{
   check_bystanders(scenario);
   slab_destroy_child(&scenario->child);
   slab_destroy_child(&scenario->sibling);
   slab_destroy_child(&scenario->stranger);
   if (scenario->parent.num_elements == 0)
      slab_create_parent(&scenario->parent, item_size, num_items);
   check_structures(&scenario->parent);
   check_structures(&scenario->foreign);

   go_on(scenario, &scenario->parent);
   go_on(scenario, &scenario->foreign);
   check_structures(&scenario->parent);
   check_structures(&scenario->foreign);

   free_all(scenario, &scenario->parent);
   free_all(scenario, &scenario->foreign);
   slab_destroy_parent(&scenario->parent);
   slab_destroy_parent(&scenario->foreign);
   live_destroy(&scenario->live);
   say("goes on");
   return 0;
}

static int
compare_addresses(const void *a, const void *b)
{
   uintptr_t first = (uintptr_t)*(unsigned char *const *)a;
   uintptr_t second = (uintptr_t)*(unsigned char *const *)b;

   return (first > second) - (first < second);
}

void
three_in_a_row(struct slab_child_pool *child, unsigned char *three[3])
{
   unsigned char *objects[many];
   int i, best = 1;

   for (i = 0; i < many; i++)
      objects[i] = (unsigned char *)object_of(child);
   qsort(objects, many, sizeof(objects[0]), compare_addresses);
   for (i = 1; i < many - 1; i++) {
      if (objects[i + 1] - objects[i - 1] < objects[best + 1] - objects[best - 1])
         best = i;
   }
   for (i = 0; i < many; i++) {
      if (i < best - 1 || i > best + 1)
         slab_free(child, objects[i]);
   }
   memcpy(three, objects + best - 1, 3 * sizeof(three[0]));
   memset(three[0], neighbour_byte, child->parent->item_size);
   memset(three[2], neighbour_byte, child->parent->item_size);
}

void
free_three(struct slab_child_pool *child, unsigned char *three[3])
{
   bool written = false;
   unsigned i;

   for (i = 0; i < child->parent->item_size; i++)
      written |= three[0][i] != neighbour_byte || three[2][i] != neighbour_byte;
   if (written)
      say("the neighbour is overwritten");
   for (i = 0; i < 3; i++)
      slab_free(child, three[i]);
}
