/* SPDX-License-Identifier: MIT */
#include "scenarios.h"

#include "gl_model.h"
#include "iterations.h"
#include "must.h"

#include <pthread.h>
#include <stdbool.h>
#include <string.h>

static void
map_and_write(struct context *context, struct buffer *buffer, int value)
{
   memset(context_map(context, buffer, 16, buffer->size - 16), value, buffer->size - 16);
}

static void
unmap_and_check(struct context *context, struct buffer *buffer, int value)
{
   context_unmap(context, buffer);
   MUST(buffer->storage[0] == 0);
   MUST(buffer->storage[16] == (unsigned char)value);
   MUST(buffer->storage[buffer->size - 1] == (unsigned char)value);
}

/* Every context unmaps what it mapped: fine with any pool, and shows that the model itself is. */
static void
own_maps(const struct pool_ops *ops)
{
   enum { count = 50 };
   struct screen *screen = screen_create(ops);
   struct buffer buffers[count];
   int round, i;

   for (i = 0; i < count; i++)
      buffer_create(&buffers[i], 256);
   for (round = 0; round < 20; round++) {
      struct context *context = context_create(screen);
      for (i = 0; i < count; i++)
         map_and_write(context, &buffers[i], round);
      for (i = 0; i < count; i++)
         unmap_and_check(context, &buffers[i], round);
      context_destroy(context);
   }
   for (i = 0; i < count; i++)
      buffer_destroy(&buffers[i]);
   screen_destroy(screen);
}

/* Mapped in A, A destroyed, unmapped in B. */
static void
map_destroy_unmap(const struct pool_ops *ops)
{
   struct screen *screen = screen_create(ops);
   struct context *a = context_create(screen);
   struct context *b = context_create(screen);
   struct buffer buffer;

   buffer_create(&buffer, 256);
   map_and_write(a, &buffer, 1);
   context_destroy(a);
   unmap_and_check(b, &buffer, 1);

   map_and_write(b, &buffer, 2);
   unmap_and_check(b, &buffer, 2);
   context_destroy(b);
   buffer_destroy(&buffer);
   screen_destroy(screen);
}

struct handover {
   struct screen *screen;
   struct buffer *buffers;
   unsigned count;
   pthread_mutex_t mutex;
   pthread_cond_t changed;
   bool ready;
};

static void *
map_and_leave(void *arg)
{
   struct handover *handover = (struct handover *)arg;
   struct context *a = context_create(handover->screen);
   unsigned i;

   for (i = 0; i < handover->count; i++)
      map_and_write(a, &handover->buffers[i], (int)i + 1);
   context_destroy(a);
   pthread_mutex_lock(&handover->mutex);
   handover->ready = true;
   pthread_cond_signal(&handover->changed);
   pthread_mutex_unlock(&handover->mutex);
   return NULL;
}

static void *
wait_and_unmap(void *arg)
{
   struct handover *handover = (struct handover *)arg;
   struct context *b = context_create(handover->screen);
   struct buffer own;
   unsigned i;

   /* B has been in use all the while, so its pool is not empty when the transfers come. */
   buffer_create(&own, 64);
   for (i = 0; i < 100; i++) {
      map_and_write(b, &own, (int)i);
      unmap_and_check(b, &own, (int)i);
   }
   pthread_mutex_lock(&handover->mutex);
   while (!handover->ready)
      pthread_cond_wait(&handover->changed, &handover->mutex);
   pthread_mutex_unlock(&handover->mutex);
   for (i = 0; i < handover->count; i++) {
      unmap_and_check(b, &handover->buffers[i], (int)i + 1);
      map_and_write(b, &handover->buffers[i], (int)i + 2);
   }
   for (i = 0; i < handover->count; i++)
      unmap_and_check(b, &handover->buffers[i], (int)i + 2);
   buffer_destroy(&own);
   context_destroy(b);
   return NULL;
}

/* The same with A on one thread and B on another, both of them at work, again and again. */
static void
map_destroy_unmap_two_threads(const struct pool_ops *ops)
{
   enum { count = 100 };
   struct buffer buffers[count];
   struct handover handover;
   pthread_t a, b;
   unsigned round, i;

   handover.screen = screen_create(ops);
   handover.buffers = buffers;
   handover.count = count;
   pthread_mutex_init(&handover.mutex, NULL);
   pthread_cond_init(&handover.changed, NULL);
   for (i = 0; i < count; i++)
      buffer_create(&buffers[i], 64);
   for (round = 0; round < ITERATIONS(200, 20); round++) {
      handover.ready = false;
      for (i = 0; i < count; i++)
         memset(buffers[i].storage, 0, buffers[i].size);
      MUST(pthread_create(&b, NULL, wait_and_unmap, &handover) == 0);
      MUST(pthread_create(&a, NULL, map_and_leave, &handover) == 0);
      MUST(pthread_join(a, NULL) == 0);
      MUST(pthread_join(b, NULL) == 0);
   }
   for (i = 0; i < count; i++)
      buffer_destroy(&buffers[i]);
   pthread_cond_destroy(&handover.changed);
   pthread_mutex_destroy(&handover.mutex);
   screen_destroy(handover.screen);
}

/* A buffer of the share group, used under its own mutex as GL's shared objects are. */
struct shared_buffer {
   pthread_mutex_t mutex;
   struct buffer buffer;
   int value; /* what the one who mapped it wrote */
};

enum { churn_buffers = 64, churn_threads = 4 };

struct churn {
   struct screen *screen;
   struct shared_buffer buffers[churn_buffers];
};

struct churn_thread {
   struct churn *churn;
   unsigned number;
   pthread_t thread;
};

/* Unmaps what others left mapped, and maps what is not: about half of it stays for others to unmap. */
static void
use_some_buffers(struct churn *churn, struct context *context, unsigned seed)
{
   unsigned i;

   for (i = 0; i < 24; i++) {
      struct shared_buffer *shared;

      seed = seed * 1664525u + 1013904223u;
      shared = &churn->buffers[(seed >> 16) % churn_buffers];
      pthread_mutex_lock(&shared->mutex);
      if (shared->buffer.transfer) {
         unmap_and_check(context, &shared->buffer, shared->value);
      } else {
         shared->value = (int)(seed >> 24);
         map_and_write(context, &shared->buffer, shared->value);
      }
      pthread_mutex_unlock(&shared->mutex);
   }
}

static void *
contexts_come_and_go(void *arg)
{
   struct churn_thread *thread = (struct churn_thread *)arg;
   unsigned i;

   for (i = 0; i < ITERATIONS(2000, 150); i++) {
      struct context *context = context_create(thread->churn->screen);
      use_some_buffers(thread->churn, context, i * churn_threads + thread->number);
      context_destroy(context);
   }
   return NULL;
}

/* Thousands of contexts on four threads, each leaving mapped buffers to those that come after it. */
static void
thousands_of_contexts(const struct pool_ops *ops)
{
   static struct churn churn;
   struct churn_thread threads[churn_threads];
   struct context *last;
   unsigned i;

   churn.screen = screen_create(ops);
   for (i = 0; i < churn_buffers; i++) {
      pthread_mutex_init(&churn.buffers[i].mutex, NULL);
      buffer_create(&churn.buffers[i].buffer, 64);
   }
   for (i = 0; i < churn_threads; i++) {
      threads[i].churn = &churn;
      threads[i].number = i;
      MUST(pthread_create(&threads[i].thread, NULL, contexts_come_and_go, &threads[i]) == 0);
   }
   for (i = 0; i < churn_threads; i++)
      MUST(pthread_join(threads[i].thread, NULL) == 0);

   last = context_create(churn.screen);
   for (i = 0; i < churn_buffers; i++) {
      if (churn.buffers[i].buffer.transfer)
         unmap_and_check(last, &churn.buffers[i].buffer, churn.buffers[i].value);
      buffer_destroy(&churn.buffers[i].buffer);
      pthread_mutex_destroy(&churn.buffers[i].mutex);
   }
   context_destroy(last);
   screen_destroy(churn.screen);
}

const struct scenario scenarios[] = {
   {"own", "each context unmaps what it mapped", own_maps},
   {"destroyed", "mapped in A, A destroyed, unmapped in B", map_destroy_unmap},
   {"threads", "the same, A and B on two threads", map_destroy_unmap_two_threads},
   {"churn", "thousands of contexts leave mapped buffers to others", thousands_of_contexts},
};

const unsigned scenario_count = sizeof(scenarios) / sizeof(scenarios[0]);

const struct scenario *
scenario_find(const char *name)
{
   unsigned i;

   for (i = 0; i < scenario_count; i++) {
      if (strcmp(scenarios[i].name, name) == 0)
         return &scenarios[i];
   }
   return NULL;
}
