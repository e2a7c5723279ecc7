/* SPDX-License-Identifier: MIT */

/*
 * The checked replay tells an allocator that breaks its promises: the library is put behind functions
 * that break one each, and each must be named.
 */

#include "check.h"
#include "replay.h"
#include "trace_bytes.h"

#include <string.h>

/* Five objects live at once, the third and the fifth zeroed. */
static void
write_trace(struct trace_bytes *trace)
{
   trace_bytes_begin(trace);
   trace_bytes_add(trace, TRACE_CREATE_PARENT, 0, 1, 88, 16);
   trace_bytes_add(trace, TRACE_CREATE_CHILD, 0, 1, 1, 0);
   trace_bytes_add(trace, TRACE_ALLOC, 0, 1, 1, 0);
   trace_bytes_add(trace, TRACE_ALLOC, 0, 1, 2, 0);
   trace_bytes_add(trace, TRACE_ZALLOC, 0, 1, 3, 0);
   trace_bytes_add(trace, TRACE_ALLOC, 0, 1, 4, 0);
   trace_bytes_add(trace, TRACE_ZALLOC, 0, 1, 5, 0);
   for (uint32_t object = 1; object <= 5; object++)
      trace_bytes_add(trace, TRACE_FREE, 0, 1, object, 0);
   trace_bytes_add(trace, TRACE_DESTROY_CHILD, 0, 1, 0, 0);
   trace_bytes_add(trace, TRACE_DESTROY_PARENT, 0, 1, 0, 0);
   trace_bytes_add(trace, TRACE_END, 0, 0, 5, 0);
}

/* The object that was allocated last. */
static char *last;

static void *
no_memory(struct slab_child_pool *pool)
{
   (void)pool;
   return NULL;
}

static void *
same_object_again(struct slab_child_pool *pool)
{
   if (!last)
      last = (char *)slab_alloc(pool);
   return last;
}

static void *
misaligned(struct slab_child_pool *pool)
{
   return (char *)slab_alloc(pool) + 8;
}

/* Within the bytes of the object before, and as aligned as an object must be. */
static void *
last_bytes_of_another(struct slab_child_pool *pool)
{
   if (last)
      return last + 80;
   last = (char *)slab_alloc(pool);
   return last;
}

static void *
first_bytes_of_another(struct slab_child_pool *pool)
{
   if (last)
      return last - 80;
   last = (char *)slab_alloc(pool);
   return last;
}

static void *
one_byte_not_zeroed(struct slab_child_pool *pool)
{
   char *object = (char *)slab_zalloc(pool);
   object[87] = 1;
   return object;
}

static void *
remember(struct slab_child_pool *pool)
{
   last = (char *)slab_alloc(pool);
   return last;
}

static void
free_and_write_elsewhere(struct slab_child_pool *pool, void *object)
{
   last[40] ^= 1;
   slab_free(pool, object);
}

static void
parent_not_created(struct slab_parent_pool *parent, unsigned item_size, unsigned num_items)
{
   slab_create_parent(parent, item_size, num_items);
   parent->num_elements = 0;
}

static void
parent_of_another_size(struct slab_parent_pool *parent, unsigned item_size, unsigned num_items)
{
   slab_create_parent(parent, item_size - 1, num_items);
}

static void
parent_not_destroyed(struct slab_parent_pool *parent)
{
   (void)parent;
}

static void
child_of_nobody(struct slab_child_pool *pool, struct slab_parent_pool *parent)
{
   slab_create_child(pool, parent);
   pool->parent = NULL;
}

static void
child_not_destroyed(struct slab_child_pool *pool)
{
   (void)pool;
}

static void
named(const struct trace *trace, const struct allocator *allocator, const char *expected)
{
   char error[REPLAY_ERROR_SIZE] = "";
   struct replay_result result;

   last = NULL;
   bool good = replay_checked(trace, allocator, &result, error);
   if (good || !strstr(error, expected) || strchr(error, '\n')) {
      fprintf(stderr, "\"%s\" does not say \"%s\"\n", error, expected);
      exit(1);
   }
}

/* Puts a function in the place of one of the library's. */
#define NAMED(member, function, expected)             \
   do {                                               \
      struct allocator allocator = library_allocator; \
      allocator.member = function;                    \
      named(&trace, &allocator, expected);            \
   } while (0)

int
main(void)
{
   struct trace_bytes bytes;
   struct trace trace;
   struct replay_result result;
   char error[REPLAY_ERROR_SIZE] = "";

   write_trace(&bytes);
   CHECK(trace_parse(&trace, bytes.bytes, bytes.size, error));
   CHECK(replay_checked(&trace, &library_allocator, &result, error));
   CHECK(result.peak_bytes >= 5 * 88);

   NAMED(alloc, no_memory, "record 3: out of memory for object 1");
   NAMED(zalloc, no_memory, "record 5: out of memory for object 3");
   NAMED(alloc, same_object_again, "record 4: object 2 at");
   NAMED(alloc, same_object_again, "overlaps object 1 at");
   NAMED(alloc, misaligned, "is not aligned to 16");
   NAMED(alloc, last_bytes_of_another, "overlaps object 1 at");
   NAMED(alloc, first_bytes_of_another, "overlaps object 1 at");
   NAMED(zalloc, one_byte_not_zeroed, "is not zero at byte 87");
   NAMED(create_parent, parent_not_created, "record 1: parent 1 does not look created");
   NAMED(create_parent, parent_of_another_size, "record 1: parent 1 has item_size 87");
   NAMED(destroy_parent, parent_not_destroyed, "parent 1 still looks created");
   NAMED(create_child, child_of_nobody, "record 2: child 1 does not name its parent");
   NAMED(destroy_child, child_not_destroyed, "child 1 still names a parent");

   /* Object 4 is the last that goes through alloc. */
   struct allocator allocator = library_allocator;
   allocator.alloc = remember;
   allocator.free = free_and_write_elsewhere;
   named(&trace, &allocator, "record 11: object 4 at");

   trace_release(&trace);
   return 0;
}
