/* SPDX-License-Identifier: MIT */
#include "replay_threads.h"

#include "contents.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * A counter says how many calls on a child, on an object or on a parent and its children were made; a
 * call waits until it is its turn. Nothing else is shared by the threads, not even a lock, so that a
 * tool which looks for races sees only the order that a driver must keep as well.
 */

struct turn {
   size_t child;  /* calls on the same child before this one */
   size_t object; /* calls on the same object before this one */
   size_t parent; /* calls on the same parent and its children before this one */
};

struct threads_object {
   unsigned char *address;
   size_t size;
};

struct threads_replay {
   const struct trace *trace;
   struct turn *turns; /* by record */
   uint32_t *parents;  /* by record: whose parent or child it is about */
   size_t *made_on_child;
   size_t *made_on_object;
   size_t *made_on_parent;
   struct slab_mempool *mempools;
   struct slab_child_pool *own;
   struct slab_child_pool **pools; /* own, or the one in a mempool */
   struct threads_object *objects;
   unsigned threads; /* threads are numbered below it */
   size_t wrong;     /* number of a record that found something wrong, or 0 */
};

struct threads_one {
   struct threads_replay *replay;
   unsigned number;
   pthread_t thread;
};

static bool
is_of_parent(const struct trace_record *record)
{
   return record->op == TRACE_CREATE_PARENT || record->op == TRACE_DESTROY_PARENT;
}

static bool
is_of_object(const struct trace_record *record)
{
   return record->op == TRACE_ALLOC || record->op == TRACE_ZALLOC || record->op == TRACE_FREE;
}

/* Finds out for each record how many it has to wait for. */
static bool
take_turns(struct threads_replay *replay)
{
   const struct trace *trace = replay->trace;
   size_t *children = (size_t *)calloc(trace->child_limit, sizeof(size_t));
   size_t *objects = (size_t *)calloc(trace->object_limit, sizeof(size_t));
   size_t *parents = (size_t *)calloc(trace->parent_limit, sizeof(size_t));
   uint32_t *parent_of = (uint32_t *)calloc(trace->child_limit, sizeof(uint32_t));
   bool enough = children && objects && parents && parent_of;

   for (size_t i = 0; enough && i < trace->count; i++) {
      const struct trace_record *record = &trace->records[i];
      struct turn *turn = &replay->turns[i];

      if (record->op == TRACE_END)
         continue;
      if (record->thread >= replay->threads)
         replay->threads = record->thread + 1u;
      if (record->op == TRACE_CREATE_CHILD)
         parent_of[record->pool] = record->a;
      replay->parents[i] = is_of_parent(record) ? record->pool : parent_of[record->pool];
      turn->parent = parents[replay->parents[i]]++;
      if (!is_of_parent(record))
         turn->child = children[record->pool]++;
      if (is_of_object(record))
         turn->object = objects[record->a]++;
   }
   free(children);
   free(objects);
   free(parents);
   free(parent_of);
   return enough;
}

static void
wait_for(const size_t *made, size_t turn)
{
   while (__atomic_load_n(made, __ATOMIC_ACQUIRE) < turn)
      sched_yield();
}

static void
made_one(size_t *made)
{
   __atomic_add_fetch(made, 1, __ATOMIC_RELEASE);
}

static void
make_call(struct threads_replay *replay, size_t index)
{
   const struct trace_record *record = &replay->trace->records[index];
   struct slab_child_pool *pool = is_of_parent(record) ? NULL : replay->pools[record->pool];
   struct slab_mempool *mempool = &replay->mempools[replay->parents[index]];
   struct threads_object *object = is_of_object(record) ? &replay->objects[record->a] : NULL;
   bool whole = (record->flags & TRACE_MEMPOOL) != 0;

   switch (record->op) {
   case TRACE_CREATE_PARENT:
      if (whole)
         slab_create(mempool, record->a, record->b);
      else
         slab_create_parent(&mempool->parent, record->a, record->b);
      break;
   case TRACE_DESTROY_PARENT:
      if (whole)
         slab_destroy(mempool);
      else
         slab_destroy_parent(&mempool->parent);
      break;
   case TRACE_CREATE_CHILD:
      if (whole)
         replay->pools[record->pool] = &mempool->child;
      else
         slab_create_child(pool, &mempool->parent);
      break;
   case TRACE_DESTROY_CHILD:
      slab_destroy_child(pool);
      break;
   case TRACE_ALLOC:
   case TRACE_ZALLOC:
      object->size = mempool->parent.item_size ? mempool->parent.item_size : 1;
      object->address = (unsigned char *)(record->op == TRACE_ALLOC ? slab_alloc(pool) : slab_zalloc(pool));
      if (object->address)
         contents_write(object->address, object->size, record->a);
      else
         __atomic_store_n(&replay->wrong, index + 1, __ATOMIC_RELAXED);
      break;
   case TRACE_FREE:
      if (!object->address)
         break;
      if (contents_differ(object->address, object->size, record->a) < object->size)
         __atomic_store_n(&replay->wrong, index + 1, __ATOMIC_RELAXED);
      slab_free(pool, object->address);
      break;
   case TRACE_END:
      break;
   }
}

static void
make_call_in_turn(struct threads_replay *replay, size_t index)
{
   const struct trace_record *record = &replay->trace->records[index];
   const struct turn *turn = &replay->turns[index];
   size_t *on_parent = &replay->made_on_parent[replay->parents[index]];

   if (record->op == TRACE_END)
      return;
   /* A parent's own calls come after all before them, any other only after that which created it. */
   if (is_of_parent(record)) {
      wait_for(on_parent, turn->parent);
   } else {
      wait_for(on_parent, 1);
      wait_for(&replay->made_on_child[record->pool], turn->child);
   }
   if (is_of_object(record))
      wait_for(&replay->made_on_object[record->a], turn->object);
   make_call(replay, index);
   if (is_of_object(record))
      made_one(&replay->made_on_object[record->a]);
   if (!is_of_parent(record))
      made_one(&replay->made_on_child[record->pool]);
   made_one(on_parent);
}

static void *
one_thread(void *data)
{
   struct threads_one *one = (struct threads_one *)data;
   const struct trace *trace = one->replay->trace;

   for (size_t i = 0; i < trace->recorded; i++) {
      if (trace->records[i].thread == one->number)
         make_call_in_turn(one->replay, i);
   }
   return NULL;
}

static bool
run_threads(struct threads_replay *replay)
{
   struct threads_one *threads = (struct threads_one *)calloc(replay->threads, sizeof(struct threads_one));

   if (!threads)
      return false;
   for (unsigned i = 0; i < replay->threads; i++) {
      threads[i].replay = replay;
      threads[i].number = i;
      if (pthread_create(&threads[i].thread, NULL, one_thread, &threads[i]) != 0) {
         /* Those that run already would wait for this one for ever. */
         perror("pthread_create");
         exit(1);
      }
   }
   for (unsigned i = 0; i < replay->threads; i++)
      pthread_join(threads[i].thread, NULL);
   /* What the program left open. */
   for (size_t i = replay->trace->recorded; i < replay->trace->count; i++)
      make_call_in_turn(replay, i);
   free(threads);
   return true;
}

bool
replay_threads(const struct trace *trace, char error[REPLAY_ERROR_SIZE])
{
   struct threads_replay replay;
   bool good;

   memset(&replay, 0, sizeof(replay));
   replay.trace = trace;
   replay.turns = (struct turn *)calloc(trace->count, sizeof(*replay.turns));
   replay.parents = (uint32_t *)calloc(trace->count, sizeof(*replay.parents));
   replay.made_on_child = (size_t *)calloc(trace->child_limit, sizeof(size_t));
   replay.made_on_object = (size_t *)calloc(trace->object_limit, sizeof(size_t));
   replay.made_on_parent = (size_t *)calloc(trace->parent_limit, sizeof(size_t));
   replay.mempools = (struct slab_mempool *)calloc(trace->parent_limit, sizeof(*replay.mempools));
   replay.own = (struct slab_child_pool *)calloc(trace->child_limit, sizeof(*replay.own));
   replay.pools = (struct slab_child_pool **)calloc(trace->child_limit, sizeof(*replay.pools));
   replay.objects = (struct threads_object *)calloc(trace->object_limit, sizeof(*replay.objects));

   good = replay.turns && replay.parents && replay.made_on_child && replay.made_on_object && replay.made_on_parent &&
          replay.mempools && replay.own && replay.pools && replay.objects;
   for (size_t i = 0; good && i < trace->child_limit; i++)
      replay.pools[i] = &replay.own[i];
   good = good && take_turns(&replay) && run_threads(&replay);
   if (!good)
      snprintf(error, REPLAY_ERROR_SIZE, "out of memory");
   if (replay.wrong != 0) {
      snprintf(error, REPLAY_ERROR_SIZE, "record %zu: no object, or one whose contents have changed", replay.wrong);
      good = false;
   }

   free(replay.turns);
   free(replay.parents);
   free(replay.made_on_child);
   free(replay.made_on_object);
   free(replay.made_on_parent);
   free(replay.mempools);
   free(replay.own);
   free(replay.pools);
   free(replay.objects);
   return good;
}
