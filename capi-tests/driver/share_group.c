/* SPDX-License-Identifier: MIT */
#include "share_group.h"

#include "context.h"

#include <stdio.h>
#include <string.h>

enum { BUFFERS = 200, BUFFER_SIZE = 64, CONTEXTS = 2000, MAPPED_PER_CONTEXT = 3 };

static bool
fail(const char *what)
{
   fprintf(stderr, "share group: %s\n", what);
   return false;
}

/* The application's writes: all bytes of the mapped range. */
static void
paint(struct transfer *transfer, unsigned number)
{
   memset(transfer->staging, (int)(number % 251 + 1), transfer->size);
}

static bool
painted(const struct buffer *buffer, unsigned number)
{
   for (size_t i = 0; i < buffer->size; i++) {
      if (buffer->storage[i] != number % 251 + 1)
         return false;
   }
   return true;
}

static bool
intact(const struct transfer *transfer, const struct buffer *buffer)
{
   return transfer->buffer == buffer && transfer->offset == 0 && transfer->size == BUFFER_SIZE && transfer->staging;
}

/* B maps as many buffers of its own in between, so that a transfer lost with A would be reused. */
static bool
unmap_after_destroy(struct screen *screen, struct buffer *of_a, struct buffer *of_b)
{
   struct transfer *mapped_by_a[BUFFERS];
   struct transfer *mapped_by_b[BUFFERS];
   struct context a, b;

   context_create(&a, screen);
   context_create(&b, screen);

   for (unsigned i = 0; i < BUFFERS; i++) {
      mapped_by_a[i] = context_map(&a, &of_a[i], 0, BUFFER_SIZE);
      if (!mapped_by_a[i])
         return fail("out of memory");
      paint(mapped_by_a[i], i);
   }
   context_destroy(&a);

   for (unsigned i = 0; i < BUFFERS; i++) {
      mapped_by_b[i] = context_map(&b, &of_b[i], 0, BUFFER_SIZE);
      if (!mapped_by_b[i])
         return fail("out of memory");
      paint(mapped_by_b[i], i + BUFFERS);
   }
   for (unsigned i = 0; i < BUFFERS; i++) {
      if (!intact(mapped_by_a[i], &of_a[i]) || !intact(mapped_by_b[i], &of_b[i]))
         return fail("a transfer changed when the context that mapped it was destroyed");
      context_unmap(&b, mapped_by_a[i]);
      context_unmap(&b, mapped_by_b[i]);
   }
   for (unsigned i = 0; i < BUFFERS; i++) {
      if (!painted(&of_a[i], i) || !painted(&of_b[i], i + BUFFERS))
         return fail("a buffer does not hold what was written through its mapping");
   }
   context_destroy(&b);

   printf("  map %d buffers in A, destroy A, map %d in B, unmap all in B: every byte arrived\n", BUFFERS, BUFFERS);
   return true;
}

/* Each context unmaps what its predecessor, gone by then, has left mapped. */
static bool
unmap_for_the_predecessor(struct screen *screen, struct buffer *buffers)
{
   struct transfer *left[MAPPED_PER_CONTEXT] = {NULL};

   for (unsigned number = 0; number < CONTEXTS; number++) {
      struct context context;

      context_create(&context, screen);
      for (unsigned i = 0; i < MAPPED_PER_CONTEXT; i++) {
         if (left[i]) {
            if (!intact(left[i], &buffers[i]))
               return fail("a transfer changed after its context was destroyed");
            context_unmap(&context, left[i]);
            if (!painted(&buffers[i], number - 1))
               return fail("a buffer does not hold what the previous context wrote");
         }
         left[i] = context_map(&context, &buffers[i], 0, BUFFER_SIZE);
         if (!left[i])
            return fail("out of memory");
         paint(left[i], number);
      }
      context_destroy(&context);
   }

   struct context last;
   context_create(&last, screen);
   for (unsigned i = 0; i < MAPPED_PER_CONTEXT; i++)
      context_unmap(&last, left[i]);
   context_destroy(&last);

   printf("  %d contexts in a row, each unmapping what the destroyed one before it mapped\n", CONTEXTS);
   return true;
}

/* The other way round: contexts that live side by side, and one of them that unmaps for all. */
static bool
unmap_in_one_context(struct screen *screen, struct buffer *buffers)
{
   static struct context contexts[BUFFERS];
   struct transfer *mapped[BUFFERS];

   for (unsigned i = 0; i < BUFFERS; i++) {
      context_create(&contexts[i], screen);
      mapped[i] = context_map(&contexts[i], &buffers[i], 0, BUFFER_SIZE);
      if (!mapped[i])
         return fail("out of memory");
      for (unsigned j = 0; j < i; j++) {
         if (mapped[i] == mapped[j])
            return fail("two contexts got the same transfer");
      }
      paint(mapped[i], i + 7);
   }
   for (unsigned i = 1; i < BUFFERS; i++)
      context_destroy(&contexts[i]);
   for (unsigned i = 0; i < BUFFERS; i++) {
      context_unmap(&contexts[0], mapped[i]);
      if (!painted(&buffers[i], i + 7))
         return fail("a buffer does not hold what its context wrote");
   }
   context_destroy(&contexts[0]);

   printf("  %d contexts side by side, one buffer mapped in each, all unmapped in the first\n", BUFFERS);
   return true;
}

bool
share_group_run(void)
{
   struct buffer buffers[2 * BUFFERS];
   struct screen screen;

   for (unsigned i = 0; i < 2 * BUFFERS; i++) {
      if (!buffer_create(&buffers[i], BUFFER_SIZE))
         return fail("out of memory");
   }
   screen_create(&screen);

   printf("Share group: contexts that unmap each other's buffers\n");
   bool good = unmap_after_destroy(&screen, buffers, buffers + BUFFERS) &&
               unmap_for_the_predecessor(&screen, buffers) && unmap_in_one_context(&screen, buffers);

   if (good) {
      screen_destroy(&screen);
      for (unsigned i = 0; i < 2 * BUFFERS; i++)
         buffer_destroy(&buffers[i]);
   }
   return good;
}
