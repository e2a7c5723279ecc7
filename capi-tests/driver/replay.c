/* SPDX-License-Identifier: MIT */
#include "replay.h"

#include "contents.h"
#include "live_set.h"
#include "mappings.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * The memory of a child pool stays as it is after its destruction, as in a driver that keeps its
 * context's memory: a recorded free through a destroyed child is made through the destroyed
 * struct, and one through a child that never existed through a zeroed struct.
 */
struct child {
   struct slab_child_pool own;
   struct slab_child_pool *pool; /* own, or the one in mempool */
   struct slab_mempool *mempool; /* NULL, or where its calls go */
   uint32_t item_size;
};

struct replay {
   const struct trace *trace;
   const struct allocator *allocator;
   size_t number;                 /* of the current record, from 1 */
   struct slab_mempool *mempools; /* by parent id; a parent alone uses the parent in it */
   struct child *children;        /* by id */
   struct live_object *objects;   /* by id */
   struct live_set live;
   struct replay_result *result;
   char *error;
};

static bool
fail(struct replay *replay, const char *format, ...)
{
   int used = snprintf(replay->error, REPLAY_ERROR_SIZE, "record %zu: ", replay->number);
   va_list args;

   va_start(args, format);
   vsnprintf(replay->error + used, REPLAY_ERROR_SIZE - (size_t)used, format, args);
   va_end(args);
   return false;
}

/* As slab.h promises it. */
static size_t
promised_alignment(size_t item_size)
{
   bool power_of_two = (item_size & (item_size - 1)) == 0;

   if (item_size <= 8)
      return 8;
   if (!power_of_two)
      return 16;
   return item_size < 4096 ? item_size : 4096;
}

/* Creating a pool is legal over any bytes, and a real driver's memory is not zeroed. */
static void
soil(void *memory, size_t size)
{
   memset(memory, 0xa5, size);
}

static bool
create_parent(struct replay *replay, const struct trace_record *record)
{
   struct slab_mempool *mempool = &replay->mempools[record->pool];
   struct slab_parent_pool *parent = &mempool->parent;

   soil(mempool, sizeof(*mempool));
   mappings_count(true);
   if (record->flags & TRACE_MEMPOOL)
      replay->allocator->create(mempool, record->a, record->b);
   else
      replay->allocator->create_parent(parent, record->a, record->b);
   mappings_count(false);

   if (parent->num_elements == 0)
      return fail(replay, "parent %u does not look created", record->pool);
   if (parent->item_size != record->a || parent->element_size < record->a)
      return fail(replay, "parent %u has item_size %u and element_size %u, not %u", record->pool, parent->item_size,
                  parent->element_size, record->a);
   return true;
}

static bool
destroy_parent(struct replay *replay, const struct trace_record *record)
{
   struct slab_mempool *mempool = &replay->mempools[record->pool];

   mappings_count(true);
   if (record->flags & TRACE_MEMPOOL)
      replay->allocator->destroy(mempool);
   else
      replay->allocator->destroy_parent(&mempool->parent);
   mappings_count(false);

   if (mempool->parent.num_elements != 0)
      return fail(replay, "parent %u still looks created", record->pool);
   return true;
}

static bool
create_child(struct replay *replay, const struct trace_record *record)
{
   struct child *child = &replay->children[record->pool];
   struct slab_mempool *mempool = &replay->mempools[record->a];

   child->item_size = mempool->parent.item_size;
   if (record->flags & TRACE_MEMPOOL) {
      /* slab_create() made it, with the parent. */
      child->mempool = mempool;
      child->pool = &mempool->child;
   } else {
      soil(&child->own, sizeof(child->own));
      mappings_count(true);
      replay->allocator->create_child(child->pool, &mempool->parent);
      mappings_count(false);
   }

   if (child->pool->parent != &mempool->parent)
      return fail(replay, "child %u does not name its parent", record->pool);
   return true;
}

static bool
destroy_child(struct replay *replay, const struct trace_record *record)
{
   struct child *child = &replay->children[record->pool];

   mappings_count(true);
   replay->allocator->destroy_child(child->pool);
   mappings_count(false);

   if (child->pool->parent)
      return fail(replay, "child %u still names a parent", record->pool);
   return true;
}

static void *
call_alloc(const struct allocator *allocator, struct child *child, enum trace_op op)
{
   if (op == TRACE_ZALLOC)
      return allocator->zalloc(child->pool);
   if (child->mempool)
      return allocator->alloc_st(child->mempool);
   return allocator->alloc(child->pool);
}

static bool
alloc(struct replay *replay, const struct trace_record *record)
{
   struct child *child = &replay->children[record->pool];
   struct live_object *object = &replay->objects[record->a];

   mappings_count(true);
   object->address = (unsigned char *)call_alloc(replay->allocator, child, record->op);
   mappings_count(false);
   object->size = child->item_size ? child->item_size : 1;
   object->id = record->a;

   if (!object->address)
      return fail(replay, "out of memory for object %u", object->id);

   size_t alignment = promised_alignment(child->item_size);
   if ((uintptr_t)object->address % alignment != 0)
      return fail(replay, "object %u at %p is not aligned to %zu", object->id, (void *)object->address, alignment);

   const struct live_object *other = live_set_add(&replay->live, object);
   if (other)
      return fail(replay, "object %u at %p overlaps object %u at %p, which is live", object->id,
                  (void *)object->address, other->id, (void *)other->address);

   if (record->op == TRACE_ZALLOC) {
      size_t offset = contents_nonzero(object->address, object->size);
      if (offset < object->size)
         return fail(replay, "object %u at %p is not zero at byte %zu", object->id, (void *)object->address, offset);
   }
   contents_write(object->address, object->size, object->id);
   return true;
}

static bool
free_object(struct replay *replay, const struct trace_record *record)
{
   struct child *child = &replay->children[record->pool];
   struct live_object *object = &replay->objects[record->a];
   size_t offset = contents_differ(object->address, object->size, object->id);

   if (offset < object->size)
      return fail(replay, "object %u at %p was changed at byte %zu while it was live", object->id,
                  (void *)object->address, offset);
   live_set_remove(&replay->live, object);

   mappings_count(true);
   if (child->mempool && !(record->flags & TRACE_DEAD_POOL))
      replay->allocator->free_st(child->mempool, object->address);
   else
      replay->allocator->free(child->pool, object->address);
   mappings_count(false);
   return true;
}

static bool
replay_record(struct replay *replay, const struct trace_record *record)
{
   switch (record->op) {
   case TRACE_CREATE_PARENT:
      return create_parent(replay, record);
   case TRACE_DESTROY_PARENT:
      return destroy_parent(replay, record);
   case TRACE_CREATE_CHILD:
      return create_child(replay, record);
   case TRACE_DESTROY_CHILD:
      return destroy_child(replay, record);
   case TRACE_ALLOC:
   case TRACE_ZALLOC:
      return alloc(replay, record);
   case TRACE_FREE:
      return free_object(replay, record);
   case TRACE_END:
      break;
   }
   return true;
}

/*
 * The memory held is looked at after every record: the library can take pages for its own
 * bookkeeping at any call, not only where a new object is needed.
 */
static bool
replay_all(struct replay *replay)
{
   const struct trace *trace = replay->trace;

   for (size_t i = 0; i < trace->count; i++) {
      replay->number = i + 1;
      if (!replay_record(replay, &trace->records[i]))
         return false;
      if (i < trace->recorded) {
         size_t bytes = mappings_resident();
         if (replay->result->peak_bytes < bytes)
            replay->result->peak_bytes = bytes;
         replay->result->final_bytes = bytes;
      }
   }
   return true;
}

bool
replay_checked(const struct trace *trace, const struct allocator *allocator, struct replay_result *result,
               char error[REPLAY_ERROR_SIZE])
{
   struct replay replay;
   bool good = false;

   memset(&replay, 0, sizeof(replay));
   memset(result, 0, sizeof(*result));
   replay.trace = trace;
   replay.allocator = allocator;
   replay.result = result;
   replay.error = error;
   replay.mempools = (struct slab_mempool *)calloc(trace->parent_limit, sizeof(*replay.mempools));
   replay.children = (struct child *)calloc(trace->child_limit, sizeof(*replay.children));
   replay.objects = (struct live_object *)calloc(trace->object_limit, sizeof(*replay.objects));

   if (!replay.mempools || !replay.children || !replay.objects) {
      snprintf(error, REPLAY_ERROR_SIZE, "out of memory");
   } else {
      for (size_t i = 0; i < trace->child_limit; i++)
         replay.children[i].pool = &replay.children[i].own;
      good = replay_all(&replay);
   }

   live_set_clear(&replay.live);
   free(replay.mempools);
   free(replay.children);
   free(replay.objects);
   return good;
}
