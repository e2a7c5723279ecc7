/* SPDX-License-Identifier: MIT */
/*
 * Share groups: a buffer is mapped in one context, the context is destroyed, and the buffer is unmapped in another one,
 * by one thread and by several, which also make and destroy contexts all the time. What was written through the mapping
 * must be what is read back. Prints one line for each scenario: what was checked, how much of it was wrong.
 */

#include "gl.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define THREADS 4
#define BUFFERS 24
#define SIZE 512

static GLXContext root;

/* What buffer `seed` has at place i. */
static unsigned char
expected(unsigned seed, unsigned i)
{
   return (unsigned char)(seed * 37 + i * 11);
}

static void
write_bytes(unsigned char *bytes, unsigned seed)
{
   for (unsigned i = 0; i < SIZE; i++)
      bytes[i] = expected(seed, i);
}

static unsigned
wrong_bytes(unsigned seed)
{
   static _Thread_local unsigned char back[SIZE];
   unsigned wrong = 0;

   gl.glGetBufferSubData(GL_ARRAY_BUFFER, 0, SIZE, back);
   for (unsigned i = 0; i < SIZE; i++)
      wrong += back[i] != expected(seed, i);
   return wrong;
}

static void
map_all(const GLuint *buffers, unsigned seed)
{
   for (unsigned i = 0; i < BUFFERS; i++) {
      void *bytes;

      gl.glBindBuffer(GL_ARRAY_BUFFER, buffers[i]);
      gl.glBufferData(GL_ARRAY_BUFFER, SIZE, NULL, GL_STREAM_DRAW);
      bytes = gl.glMapBufferRange(GL_ARRAY_BUFFER, 0, SIZE,
                                  GL_MAP_WRITE_BIT | (i % 2 ? (GLbitfield)GL_MAP_INVALIDATE_RANGE_BIT : 0));
      if (!bytes)
         fail("a buffer cannot be mapped");
      write_bytes(bytes, seed + i);
   }
}

static unsigned
unmap_all(const GLuint *buffers, unsigned seed)
{
   unsigned wrong = 0;

   for (unsigned i = 0; i < BUFFERS; i++) {
      gl.glBindBuffer(GL_ARRAY_BUFFER, buffers[i]);
      gl.glUnmapBuffer(GL_ARRAY_BUFFER);
      wrong += wrong_bytes(seed + i);
   }
   return wrong;
}

static void
report(const char *name, unsigned rounds, unsigned wrong)
{
   printf("%s: %u rounds of %u buffers, %u bytes wrong\n", name, rounds, BUFFERS, wrong);
}

static void
other_context_unmaps(unsigned rounds)
{
   GLuint buffers[BUFFERS];
   unsigned wrong = 0;

   gl_use(root);
   gl.glGenBuffers(BUFFERS, buffers);
   for (unsigned round = 0; round < rounds; round++) {
      GLXContext other = gl_context(root);

      gl_use(other);
      map_all(buffers, round);
      gl_use(root);
      wrong += unmap_all(buffers, round);
      gl_destroy(other);
   }
   gl.glDeleteBuffers(BUFFERS, buffers);
   report("another context unmaps", rounds, wrong);
}

static void
context_dies_first(unsigned rounds)
{
   GLuint buffers[BUFFERS];
   unsigned wrong = 0;

   gl_use(root);
   gl.glGenBuffers(BUFFERS, buffers);
   for (unsigned round = 0; round < rounds; round++) {
      GLXContext other = gl_context(root);

      gl_use(other);
      map_all(buffers, round);
      gl_use(root);
      gl_destroy(other);
      wrong += unmap_all(buffers, round);
   }
   gl.glDeleteBuffers(BUFFERS, buffers);
   report("the context that mapped is gone", rounds, wrong);
}

/* Nobody unmaps what the context has mapped: the buffers are deleted, by another one. */
static void
nobody_unmaps(unsigned rounds)
{
   unsigned errors = 0;

   for (unsigned round = 0; round < rounds; round++) {
      GLXContext other = gl_context(root);
      GLuint buffers[BUFFERS];

      gl_use(other);
      gl.glGenBuffers(BUFFERS, buffers);
      map_all(buffers, round);
      gl_use(root);
      if (round % 2)
         gl_destroy(other);
      gl.glDeleteBuffers(BUFFERS, buffers);
      if (!(round % 2))
         gl_destroy(other);
      errors += glGetError() != 0;
   }
   report("nobody unmaps", rounds, errors);
}

/* Each thread maps in one context after the other, and the next thread unmaps in a context of its own, when the first
   context is gone in every second round. */
struct handover {
   pthread_mutex_t lock;
   pthread_cond_t changed;
   bool full;
   unsigned seed;
   GLuint buffers[BUFFERS];
};

struct worker {
   pthread_t thread;
   unsigned number, rounds, wrong;
   GLXContext context;
   struct handover *in, *out;
};

static void
put(struct handover *to, const GLuint *buffers, unsigned seed)
{
   pthread_mutex_lock(&to->lock);
   while (to->full)
      pthread_cond_wait(&to->changed, &to->lock);
   memcpy(to->buffers, buffers, sizeof to->buffers);
   to->seed = seed;
   to->full = true;
   pthread_cond_broadcast(&to->changed);
   pthread_mutex_unlock(&to->lock);
}

static unsigned
take(struct handover *from, GLuint *buffers)
{
   unsigned seed;

   pthread_mutex_lock(&from->lock);
   while (!from->full)
      pthread_cond_wait(&from->changed, &from->lock);
   memcpy(buffers, from->buffers, sizeof from->buffers);
   seed = from->seed;
   from->full = false;
   pthread_cond_broadcast(&from->changed);
   pthread_mutex_unlock(&from->lock);
   return seed;
}

static void *
work(void *argument)
{
   struct worker *me = argument;
   GLuint buffers[BUFFERS];

   gl_use(me->context);
   for (unsigned round = 0; round < me->rounds; round++) {
      unsigned seed = round * 1000 + me->number;

      gl.glGenBuffers(BUFFERS, buffers);
      map_all(buffers, seed);
      /* The others must see the buffers' storage. */
      glFinish();
      if (round % 2) {
         gl_use(NULL);
         gl_destroy(me->context);
         me->context = gl_context(root);
         gl_use(me->context);
      }
      put(me->out, buffers, seed);
      seed = take(me->in, buffers);
      me->wrong += unmap_all(buffers, seed);
      gl.glDeleteBuffers(BUFFERS, buffers);
   }
   gl_use(NULL);
   gl_destroy(me->context);
   return NULL;
}

static void
threads_hand_over(unsigned rounds)
{
   static struct handover handovers[THREADS];
   static struct worker workers[THREADS];
   unsigned wrong = 0;

   gl_use(NULL);
   for (unsigned i = 0; i < THREADS; i++) {
      pthread_mutex_init(&handovers[i].lock, NULL);
      pthread_cond_init(&handovers[i].changed, NULL);
      workers[i] = (struct worker){
         .number = i,
         .rounds = rounds,
         .context = gl_context(root),
         .in = &handovers[i],
         .out = &handovers[(i + 1) % THREADS],
      };
   }
   for (unsigned i = 0; i < THREADS; i++)
      pthread_create(&workers[i].thread, NULL, work, &workers[i]);
   for (unsigned i = 0; i < THREADS; i++) {
      pthread_join(workers[i].thread, NULL);
      wrong += workers[i].wrong;
   }
   report("four threads hand over", rounds * THREADS, wrong);
}

/* Contexts alone, as many as a browser makes and drops. */
static void
contexts_come_and_go(unsigned rounds)
{
   GLuint query, result;

   for (unsigned round = 0; round < rounds; round++) {
      GLXContext others[3];

      for (int i = 0; i < 3; i++) {
         others[i] = gl_context(root);
         gl_use(others[i]);
         gl.glGenQueries(1, &query);
         gl.glBeginQuery(GL_SAMPLES_PASSED, query);
         glClear(GL_COLOR_BUFFER_BIT);
         gl.glEndQuery(GL_SAMPLES_PASSED);
         gl.glGetQueryObjectuiv(query, GL_QUERY_RESULT, &result);
      }
      gl_use(root);
      for (int i = 0; i < 3; i++)
         gl_destroy(others[(round + (unsigned)i) % 3]);
   }
   printf("contexts come and go: %u\n", rounds * 3);
}

/* share [ROUNDS] */
int
main(int argc, char **argv)
{
   unsigned rounds = argc > 1 ? (unsigned)atoi(argv[1]) : 20;

   root = gl_start();
   printf("%s, %s\n", (const char *)glGetString(GL_RENDERER), (const char *)glGetString(GL_VERSION));
   other_context_unmaps(rounds);
   context_dies_first(rounds);
   nobody_unmaps(rounds);
   contexts_come_and_go(rounds);
   threads_hand_over(rounds);
   gl_use(NULL);
   gl_destroy(root);
   gl_end();
   return 0;
}
