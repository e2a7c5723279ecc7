/* SPDX-License-Identifier: MIT */
#include "trace.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/*
 * One walk through the records of a trace, with no allocator behind it: what exists is tracked by
 * id, every record is checked against it, and the totals are counted.
 *
 * Whether a free is own, sibling or dead is decided here from the order of the records and not from
 * the recorded flags: with threads, a flag may have been taken a moment before its record found its
 * place in the order.
 */

/* A destroyed pool or a freed object is GONE, and its id is not used again. */
enum state { UNKNOWN, ALIVE, GONE };

struct pool_state {
   enum state state;
   bool mempool;
   uint32_t parent; /* of a child */
};

struct object_state {
   enum state state;
   uint32_t child;
};

struct walk {
   struct trace *trace;
   size_t number;   /* of the record that is looked at, from 1 */
   size_t id_limit; /* ids are dense, so none can exceed the number of records */
   struct pool_state *parents;
   struct pool_state *children;
   struct object_state *objects;
   size_t live_children;
   size_t live_objects;
   size_t live_parents;
   char *error;
};

static bool
refuse(struct walk *walk, const char *format, ...)
{
   int used = snprintf(walk->error, TRACE_ERROR_SIZE, "record %zu: ", walk->number);
   va_list args;

   va_start(args, format);
   vsnprintf(walk->error + used, TRACE_ERROR_SIZE - (size_t)used, format, args);
   va_end(args);
   return false;
}

/* Also raises the limit that is given for the id's kind. */
static bool
in_range(struct walk *walk, const char *what, uint32_t id, size_t *limit)
{
   if (id >= walk->id_limit)
      return refuse(walk, "%s %u is out of range: more than there are records", what, id);
   if (*limit <= id)
      *limit = (size_t)id + 1;
   return true;
}

/* A child can be used while it and its parent exist. */
static bool
child_usable(const struct walk *walk, uint32_t id)
{
   const struct pool_state *child = &walk->children[id];
   return child->state == ALIVE && walk->parents[child->parent].state == ALIVE;
}

static bool
walk_create_parent(struct walk *walk, const struct trace_record *record)
{
   struct pool_state *parent = &walk->parents[record->pool];
   struct trace_totals *totals = &walk->trace->totals;

   if (record->pool == 0 || parent->state != UNKNOWN)
      return refuse(walk, "parent %u is created a second time", record->pool);
   parent->state = ALIVE;
   parent->mempool = record->flags & TRACE_MEMPOOL;
   walk->live_parents++;

   if (totals->parents++ == 0) {
      totals->item_size = record->a;
      totals->num_items = record->b;
   }
   return true;
}

static bool
walk_destroy_parent(struct walk *walk, const struct trace_record *record)
{
   struct pool_state *parent = &walk->parents[record->pool];

   if (parent->state != ALIVE)
      return refuse(walk, "parent %u does not exist", record->pool);
   parent->state = GONE;
   walk->live_parents--;
   return true;
}

static bool
walk_create_child(struct walk *walk, const struct trace_record *record)
{
   struct pool_state *child = &walk->children[record->pool];
   struct trace_totals *totals = &walk->trace->totals;

   if (record->pool == 0 || child->state != UNKNOWN)
      return refuse(walk, "child %u is created a second time", record->pool);
   if (!in_range(walk, "parent", record->a, &walk->trace->parent_limit))
      return false;
   if (walk->parents[record->a].state != ALIVE)
      return refuse(walk, "parent %u does not exist", record->a);
   if ((record->flags & TRACE_MEMPOOL) && !walk->parents[record->a].mempool)
      return refuse(walk, "parent %u is not part of a slab_mempool", record->a);
   child->state = ALIVE;
   child->mempool = record->flags & TRACE_MEMPOOL;
   child->parent = record->a;

   totals->children++;
   walk->live_children++;
   if (totals->peak_children < walk->live_children)
      totals->peak_children = walk->live_children;
   return true;
}

static bool
walk_destroy_child(struct walk *walk, const struct trace_record *record)
{
   if (record->flags & TRACE_NULL_PARENT) {
      if (walk->children[record->pool].state == ALIVE)
         return refuse(walk, "child %u exists, against the record's flag", record->pool);
      return true;
   }
   if (!child_usable(walk, record->pool))
      return refuse(walk, "child %u does not exist", record->pool);
   walk->children[record->pool].state = GONE;
   walk->live_children--;
   return true;
}

static bool
walk_alloc(struct walk *walk, const struct trace_record *record)
{
   struct trace_totals *totals = &walk->trace->totals;

   if (!child_usable(walk, record->pool))
      return refuse(walk, "child %u does not exist", record->pool);
   if (!in_range(walk, "object", record->a, &walk->trace->object_limit))
      return false;

   struct object_state *object = &walk->objects[record->a];
   if (record->a == 0 || object->state != UNKNOWN)
      return refuse(walk, "object %u is allocated a second time", record->a);
   object->state = ALIVE;
   object->child = record->pool;

   totals->allocs++;
   walk->live_objects++;
   if (totals->peak_live < walk->live_objects)
      totals->peak_live = walk->live_objects;
   return true;
}

static bool
walk_free(struct walk *walk, const struct trace_record *record)
{
   struct trace_totals *totals = &walk->trace->totals;

   if (!(record->flags & TRACE_DEAD_POOL) && !child_usable(walk, record->pool))
      return refuse(walk, "child %u does not exist", record->pool);
   if ((record->flags & TRACE_DEAD_POOL) && walk->children[record->pool].state == ALIVE)
      return refuse(walk, "child %u exists, against the record's flag", record->pool);
   if (!in_range(walk, "object", record->a, &walk->trace->object_limit))
      return false;

   struct object_state *object = &walk->objects[record->a];
   if (object->state != ALIVE)
      return refuse(walk, "free of object %u, which is not live", record->a);
   object->state = GONE;
   walk->live_objects--;

   if (walk->children[object->child].state == GONE)
      totals->frees_dead++;
   else if (object->child == record->pool)
      totals->frees_own++;
   else
      totals->frees_sibling++;
   return true;
}

static bool
walk_record(struct walk *walk, const struct trace_record *record)
{
   bool of_parent = record->op == TRACE_CREATE_PARENT || record->op == TRACE_DESTROY_PARENT;
   struct trace *trace = walk->trace;

   if (!in_range(walk, of_parent ? "parent" : "child", record->pool,
                 of_parent ? &trace->parent_limit : &trace->child_limit))
      return false;

   switch (record->op) {
   case TRACE_CREATE_PARENT:
      return walk_create_parent(walk, record);
   case TRACE_DESTROY_PARENT:
      return walk_destroy_parent(walk, record);
   case TRACE_CREATE_CHILD:
      return walk_create_child(walk, record);
   case TRACE_DESTROY_CHILD:
      return walk_destroy_child(walk, record);
   case TRACE_ALLOC:
   case TRACE_ZALLOC:
      return walk_alloc(walk, record);
   case TRACE_FREE:
      return walk_free(walk, record);
   case TRACE_END:
      if (record->a != trace->totals.allocs)
         return refuse(walk, "the end counts %u objects, the trace has %zu", record->a, trace->totals.allocs);
      return true;
   }
   return refuse(walk, "unknown operation %d", (int)record->op);
}

static bool
walk_all(struct walk *walk)
{
   const struct trace *trace = walk->trace;

   for (size_t i = 0; i < trace->count; i++) {
      walk->number = i + 1;
      if (!walk_record(walk, &trace->records[i]))
         return false;
      if (trace->records[i].op == TRACE_END && i + 1 < trace->count)
         return refuse(walk, "%zu records after the end", trace->count - i - 1);
   }
   if (trace->count == 0 || trace->records[trace->count - 1].op != TRACE_END) {
      snprintf(walk->error, TRACE_ERROR_SIZE, "truncated: no end record after record %zu", trace->count);
      return false;
   }
   if (trace->count == 1) {
      snprintf(walk->error, TRACE_ERROR_SIZE, "the trace has no calls");
      return false;
   }
   return true;
}

static void
append(struct trace *trace, enum trace_op op, uint8_t flags, size_t pool, size_t object)
{
   struct trace_record record = {op, flags, 0, (uint32_t)pool, (uint32_t)object, 0};
   trace->records[trace->count++] = record;
}

/*
 * Puts the closing records in the place of the end record. Child 0 is never created: the frees go
 * through a zeroed pool.
 */
static bool
close_what_is_open(struct walk *walk)
{
   struct trace *trace = walk->trace;
   size_t closing = walk->live_objects + walk->live_children + walk->live_parents;

   trace->recorded = --trace->count;
   if (closing == 0)
      return true;

   struct trace_record *grown =
      (struct trace_record *)realloc(trace->records, (trace->count + closing) * sizeof(*trace->records));
   if (!grown) {
      snprintf(walk->error, TRACE_ERROR_SIZE, "out of memory");
      return false;
   }
   trace->records = grown;

   for (size_t id = 1; id < trace->object_limit; id++) {
      if (walk->objects[id].state == ALIVE)
         append(trace, TRACE_FREE, TRACE_DEAD_POOL, 0, id);
   }
   for (size_t id = 1; id < trace->child_limit; id++) {
      if (child_usable(walk, (uint32_t)id))
         append(trace, TRACE_DESTROY_CHILD, 0, id, 0);
   }
   for (size_t id = 1; id < trace->parent_limit; id++) {
      if (walk->parents[id].state == ALIVE)
         append(trace, TRACE_DESTROY_PARENT, 0, id, 0);
   }
   return true;
}

bool
trace_walk(struct trace *trace, char error[TRACE_ERROR_SIZE])
{
   struct walk walk = {trace, 0, trace->count + 1, NULL, NULL, NULL, 0, 0, 0, error};
   bool valid = false;

   trace->parent_limit = 1;
   trace->child_limit = 1;
   trace->object_limit = 1;
   walk.parents = (struct pool_state *)calloc(walk.id_limit, sizeof(*walk.parents));
   walk.children = (struct pool_state *)calloc(walk.id_limit, sizeof(*walk.children));
   walk.objects = (struct object_state *)calloc(walk.id_limit, sizeof(*walk.objects));

   if (!walk.parents || !walk.children || !walk.objects)
      snprintf(error, TRACE_ERROR_SIZE, "out of memory");
   else
      valid = walk_all(&walk) && close_what_is_open(&walk);

   free(walk.parents);
   free(walk.children);
   free(walk.objects);
   return valid;
}
