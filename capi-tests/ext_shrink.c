/* SPDX-License-Identifier: MIT */
/*
 * slab_ext.h: slab_shrink. One object in fifty of a million survives, as after a level of a game is unloaded; all are
 * moved, and what is held before and after is printed. Which objects are moved, that none is lost, and what happens
 * when some cannot be moved or there is no memory.
 */
#include "child_process.h"
#include "cmocka_case.h"
#include "iterations.h"
#include "live_objects.h"
#include "must.h"
#include "os_requests.h"
#include "slab.h"
#include "slab_ext.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { item_size = 96, num_items = 64, most = ITERATIONS(1000000, 50000), one_in = 50 };

static void *objects[most];

/* Objects that know where they are referred to, as those of a program that can move them do. */
struct movable {
   unsigned index; /* in the registry */
   unsigned char contents[item_size - sizeof(unsigned)];
};

struct registry {
   struct movable **objects;
   unsigned count;
   struct slab_child_pool *child;
   unsigned moved, refused;
   unsigned refuse_one_in; /* 0: none */
};

static struct slab_parent_stats
stats_of(struct slab_parent_pool *parent)
{
   struct slab_parent_stats stats;

   stats.struct_size = sizeof(stats);
   MUST(slab_get_parent_stats(parent, &stats) == 0);
   return stats;
}

static size_t
held(void)
{
   struct slab_heap_stats stats;

   stats.struct_size = sizeof(stats);
   slab_trim_heap();
   slab_get_heap_stats(&stats);
   return stats.held;
}

/* Allocates that many, and frees all but one in so many, at random but the same each time. */
static void
create(struct registry *registry, struct slab_child_pool *child, unsigned number, unsigned of)
{
   unsigned i, random = 12345;

   memset(registry, 0, sizeof(*registry));
   registry->objects = (struct movable **)malloc(number * sizeof(*registry->objects));
   registry->child = child;
   MUST(registry->objects && number <= most);
   for (i = 0; i < number; i++) {
      objects[i] = slab_alloc(child);
      MUST(objects[i]);
   }
   for (i = 0; i < number; i++) {
      random = random * 1664525 + 1013904223;
      if ((random >> 8) % of == 0) {
         struct movable *object = (struct movable *)objects[i];

         object->index = registry->count;
         contents_write(object->contents, sizeof(object->contents), object->index);
         registry->objects[registry->count++] = object;
      } else {
         slab_free(child, objects[i]);
      }
   }
   slab_trim_child(child);
}

static void
check(const struct registry *registry)
{
   unsigned i;

   for (i = 0; i < registry->count; i++) {
      MUST(registry->objects[i]->index == i);
      MUST(contents_hold(registry->objects[i]->contents, sizeof(registry->objects[i]->contents), i));
   }
}

static void
destroy(struct registry *registry)
{
   unsigned i;

   check(registry);
   for (i = 0; i < registry->count; i++)
      slab_free(registry->child, registry->objects[i]);
   free(registry->objects);
}

static int
move(void *data, void *object)
{
   struct registry *registry = (struct registry *)data;
   struct movable *old = (struct movable *)object, *moved;

   /* It is one that is in use, which nobody has moved away from there. */
   MUST(old->index < registry->count && registry->objects[old->index] == old);
   moved = NULL;
   if (registry->refuse_one_in == 0 || old->index % registry->refuse_one_in != 0)
      moved = (struct movable *)slab_alloc(registry->child);
   if (!moved) {
      registry->refused++;
      return 0;
   }
   memcpy(moved, old, sizeof(*moved));
   registry->objects[old->index] = moved;
   registry->moved++;
   /* Nobody reads what is left behind. */
   memset(old, 0xee, sizeof(*old));
   return 1;
}

static void
one_in_fifty_of_a_million_is_moved(void **state)
{
   struct slab_mempool pool;
   struct registry registry;
   struct slab_parent_stats before, after;
   size_t held_before, held_after, bytes;

   (void)state;
   slab_create(&pool, item_size, num_items);
   create(&registry, &pool.child, most, one_in);
   slab_trim_parent(&pool.parent);
   held_before = held();
   before = stats_of(&pool.parent);
   bytes = slab_shrink(&pool.parent, move, &registry);
   slab_trim_child(&pool.child);
   slab_trim_parent(&pool.parent);
   held_after = held();
   after = stats_of(&pool.parent);
   print_message("%u of %u objects of %u bytes: %zu KiB held; %u moved: %zu KiB held, %zu KiB of them objects\n",
                 registry.count, (unsigned)most, (unsigned)item_size, held_before / 1024, registry.moved,
                 held_after / 1024, registry.count * before.element_size / 1024);
   check(&registry);
   assert_int_equal(registry.refused, 0);
   assert_int_equal(after.objects_out, registry.count);
   assert_true(before.bytes_held - after.bytes_held >= bytes);
   assert_true(bytes >= before.bytes_held / 2);
   /* No more slabs than the objects need, and those of a magazine. */
   assert_true(after.slabs_full + after.slabs_partial <=
               registry.count / before.objects_per_slab + 2 + 1024 / before.objects_per_slab);
   assert_true(held_after < held_before / 10);
   assert_int_equal(slab_validate(&pool.parent), 0);
   /* There is no more to be gained. */
   registry.moved = 0;
   assert_true(slab_shrink(&pool.parent, move, &registry) <= 12 * before.slab_bytes);
   slab_trim_child(&pool.child);
   destroy(&registry);
   slab_destroy(&pool);
}

static int
must_not_be_called(void *data, void *object)
{
   (void)data;
   (void)object;
   MUST(false);
   return 0;
}

static void
what_is_dense_is_left_alone(void **state)
{
   struct slab_mempool pool;
   struct registry registry;

   (void)state;
   slab_create(&pool, item_size, num_items);
   assert_int_equal(slab_shrink(&pool.parent, must_not_be_called, NULL), 0);
   create(&registry, &pool.child, 5000, 1);
   slab_trim_parent(&pool.parent);
   assert_int_equal(slab_shrink(&pool.parent, must_not_be_called, NULL), 0);
   destroy(&registry);
   slab_trim_child(&pool.child);
   slab_trim_parent(&pool.parent);
   assert_int_equal(slab_shrink(&pool.parent, must_not_be_called, NULL), 0);
   slab_destroy(&pool);
   assert_int_equal(slab_shrink(&pool.parent, must_not_be_called, NULL), 0);
   assert_int_equal(slab_shrink(NULL, must_not_be_called, NULL), 0);

   /* Of which a slab has one object. */
   slab_create(&pool, 300000, 1);
   objects[0] = slab_alloc_st(&pool);
   assert_non_null(objects[0]);
   assert_int_equal(slab_shrink(&pool.parent, must_not_be_called, NULL), 0);
   slab_free_st(&pool, objects[0]);
   slab_destroy(&pool);
}

static void
what_cannot_be_moved_stays(void **state)
{
   struct slab_mempool pool;
   struct registry registry;
   size_t bytes;
   unsigned count;

   (void)state;
   slab_create(&pool, item_size, num_items);
   create(&registry, &pool.child, 20000, 20);
   slab_trim_parent(&pool.parent);
   /* None of them. */
   registry.refuse_one_in = 1;
   assert_int_equal(slab_shrink(&pool.parent, move, &registry), 0);
   assert_true(registry.refused > 0 && registry.moved == 0);
   assert_int_equal(slab_validate(&pool.parent), 0);
   check(&registry);

   /* One in three. */
   registry.refuse_one_in = 3;
   registry.refused = 0;
   bytes = slab_shrink(&pool.parent, move, &registry);
   assert_true(registry.refused > 0 && registry.moved > registry.refused);
   slab_trim_child(&pool.child);
   slab_trim_parent(&pool.parent);
   assert_int_equal(slab_validate(&pool.parent), 0);
   check(&registry);
   assert_int_equal(stats_of(&pool.parent).objects_out, registry.count);

   /* The slabs of what stayed are used again before new ones. */
   count = (unsigned)(stats_of(&pool.parent).slabs_partial + stats_of(&pool.parent).slabs_full);
   assert_int_equal(slab_alloc_bulk(&pool.child, 500, objects), 500);
   assert_true(stats_of(&pool.parent).slabs_partial + stats_of(&pool.parent).slabs_full <= count + 6);
   slab_free_bulk(&pool.child, 500, objects);
   slab_trim_child(&pool.child);

   registry.refuse_one_in = 0;
   bytes += slab_shrink(&pool.parent, move, &registry);
   assert_true(bytes > 0);
   slab_trim_child(&pool.child);
   destroy(&registry);
   slab_destroy(&pool);
   assert_int_equal(slab_validate(NULL), 0);
}

static void
caches_are_reported_body(void *arg)
{
   struct slab_mempool pool;
   struct registry registry;
   bool is_ordinary;
   unsigned moved;

   (void)arg;
   slab_create(&pool, item_size, num_items);
   create(&registry, &pool.child, 5000, 20);
   slab_free_st(&pool, slab_alloc_st(&pool));
   is_ordinary = stats_of(&pool.parent).objects_per_child != 0;
   slab_shrink(&pool.parent, move, &registry);
   MUST(is_ordinary == (registry.moved == 0));
   slab_trim_child(&pool.child);
   moved = registry.moved;
   slab_shrink(&pool.parent, move, &registry);
   MUST(registry.moved > 0 && (is_ordinary || registry.moved == moved));
   destroy(&registry);
   slab_destroy(&pool);
   fputs(is_ordinary ? "" : "uncached\n", stderr);
}

static void
caches_are_reported(void **state)
{
   struct child_process child;

   (void)state;
   assert_true(child_run(&child, caches_are_reported_body, NULL));
   assert_true(strstr(child.said, "uncached") || (strstr(child.said, "mesa-slab: slab_shrink: pool 96x64 at 0x") &&
                                                  strstr(child.said, ": children cache objects: trim them first\n")));
}

/* Objects need no new memory, as the slabs that are not emptied have room. */
static void
without_memory_objects_are_moved_all_the_same(void *arg)
{
   struct slab_mempool pool;
   struct registry registry;

   (void)arg;
   slab_create(&pool, item_size, num_items);
   create(&registry, &pool.child, 20000, one_in);
   slab_trim_parent(&pool.parent);
   slab_trim_heap();
   os_fail_request(1, true);
   MUST(slab_shrink(&pool.parent, move, &registry) > 0);
   MUST(registry.moved > 0);
   os_fail_nothing();
   MUST(slab_validate(&pool.parent) == 0);
   slab_trim_child(&pool.child);
   destroy(&registry);
   slab_destroy(&pool);
   slab_trim_heap();
   MUST(slab_validate(NULL) == 0);
}

static void
without_memory(void **state)
{
   struct child_process child;

   (void)state;
   assert_true(child_run(&child, without_memory_objects_are_moved_all_the_same, NULL));
}

static void
in_a_mode_body(void *arg)
{
   struct slab_mempool pool;
   struct registry registry;
   size_t bytes;

   MUST(setenv("SLAB_DEBUG", (const char *)arg, 1) == 0);
   slab_create(&pool, item_size, num_items);
   create(&registry, &pool.child, 3000, 20);
   bytes = slab_shrink(&pool.parent, move, &registry);
   if (strcmp((const char *)arg, "guard") == 0)
      MUST(bytes == 0 && registry.moved == 0);
   else
      MUST(bytes > 0 && registry.moved > 0);
   MUST(slab_validate(&pool.parent) == 0);
   destroy(&registry);
   slab_destroy(&pool);
   MUST(slab_validate(NULL) == 0);
}

static void
with_sampling_body(void *arg)
{
   struct slab_mempool pool;
   struct registry registry;

   (void)arg;
   slab_create(&pool, item_size, num_items);
   slab_set_sampling(5);
   create(&registry, &pool.child, 10000, 20);
   slab_shrink(&pool.parent, move, &registry);
   MUST(registry.moved > 0);
   MUST(slab_validate(&pool.parent) == 0);
   slab_trim_child(&pool.child);
   destroy(&registry);
   slab_destroy(&pool);
}

static void
in_all_modes_and_with_sampling(void **state)
{
   static const char *const modes[] = {"checks",     "redzone", "poison", "users",
                                       "quarantine", "leaks",   "guard",  "redzone,poison,quarantine,users"};
   struct child_process child;
   unsigned i;

   (void)state;
   for (i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
      assert_true(child_run(&child, in_a_mode_body, (void *)(uintptr_t)modes[i]));
      assert_int_equal(strlen(child.said), 0);
   }
   assert_true(child_run(&child, with_sampling_body, NULL));
}

int
main(void)
{
   const struct CMUnitTest tests[] = {
      cmocka_unit_test(one_in_fifty_of_a_million_is_moved),
      cmocka_unit_test(what_is_dense_is_left_alone),
      cmocka_unit_test(what_cannot_be_moved_stays),
      cmocka_unit_test(caches_are_reported),
      cmocka_unit_test(without_memory),
      cmocka_unit_test(in_all_modes_and_with_sampling),
   };

   os_count_from_here();
   return cmocka_run_group_tests(tests, NULL, NULL);
}
