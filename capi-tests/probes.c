/* SPDX-License-Identifier: MIT */
/*
 * Meets every probe of the library, for scripts/check-probes, which watches it with gdb. A line "expect NAME ARGUMENT..."
 * says what a probe must have told at some time, and "report TEXT" what a report said.
 */
#include <slab_ext.h>

#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "must.h"

#ifndef __x86_64__
#error "system calls are made as x86-64 has them"
#endif

enum {
   /* More than a chunk of 4 MiB. */
   object_count = 60000,
   kept_count = 3,
   item_size = 96,
   items = 64,
   large_size = 20 << 20,
};

static void *objects[object_count];
static atomic_bool refuses_memory;

/* A thread that is within mmap() waits there for one that waits for the lock it holds. */
static atomic_bool holds_in_mmap;
static atomic_bool is_in_mmap;
static atomic_bool is_in_futex;

static long
system_call(long number, long a, long b, long c, long d, long e, long f)
{
   register long fourth __asm__("r10") = d;
   register long fifth __asm__("r8") = e;
   register long sixth __asm__("r9") = f;
   long result;

   __asm__ volatile("syscall"
                    : "=a"(result)
                    : "a"(number), "D"(a), "S"(b), "d"(c), "r"(fourth), "r"(fifth), "r"(sixth)
                    : "rcx", "r11", "memory");
   if (result < 0 && result > -4096) {
      errno = (int)-result;
      return -1;
   }
   return result;
}

/* In place of the C library's; what the library asks of the system goes through here. */
long
syscall(long number, ...)
{
   va_list list;
   long arguments[6];
   unsigned i;

   va_start(list, number);
   for (i = 0; i < 6; i++)
      arguments[i] = va_arg(list, long);
   va_end(list);
   if (number == SYS_futex && (arguments[1] & FUTEX_CMD_MASK) == FUTEX_WAIT)
      atomic_store(&is_in_futex, true);
   return system_call(number, arguments[0], arguments[1], arguments[2], arguments[3], arguments[4], arguments[5]);
}

/* The same. */
void *
mmap(void *start, size_t bytes, int protection, int flags, int file, off_t offset)
{
   if (atomic_load(&refuses_memory)) {
      errno = ENOMEM;
      return MAP_FAILED;
   }
   if (atomic_exchange(&holds_in_mmap, false)) {
      atomic_store(&is_in_mmap, true);
      while (!atomic_load(&is_in_futex))
         sched_yield();
   }
   return (void *)system_call(SYS_mmap, (long)start, (long)bytes, protection, flags, file, offset);
}

static void
say(void *data, const char *report)
{
   (void)data;
   printf("report %s\n", report);
}

static void
allocate_all(struct slab_child_pool *child)
{
   unsigned i;

   for (i = 0; i < object_count; i++)
      MUST(objects[i] = slab_alloc(child));
}

static void
free_from(struct slab_child_pool *child, unsigned first)
{
   unsigned i;

   for (i = first; i < object_count; i++)
      slab_free(child, objects[i]);
}

static void *
wait_for_the_pool(void *data)
{
   struct slab_child_pool *child = data;
   void *object;

   while (!atomic_load(&is_in_mmap))
      sched_yield();
   MUST(object = slab_alloc(child));
   slab_free(child, object);
   return NULL;
}

/* One thread has a pool's lock until another one sleeps for it. */
static void
contend(void)
{
   struct slab_parent_pool parent;
   struct slab_child_pool one, other;
   pthread_t thread;
   void *object;

   slab_create_parent(&parent, large_size, 1);
   slab_create_child(&one, &parent);
   slab_create_child(&other, &parent);
   MUST(pthread_create(&thread, NULL, wait_for_the_pool, &other) == 0);
   atomic_store(&holds_in_mmap, true);
   MUST(object = slab_alloc(&one));
   MUST(!atomic_load(&holds_in_mmap));
   MUST(pthread_join(thread, NULL) == 0);
   slab_free(&one, object);
   slab_destroy_child(&one);
   slab_destroy_child(&other);
   slab_destroy_parent(&parent);
}

static void
be_refused(void)
{
   struct slab_parent_pool parent;
   struct slab_child_pool child;

   /* Of other size than the one that the heap keeps. */
   slab_create_parent(&parent, 2 * large_size, 1);
   slab_create_child(&child, &parent);
   atomic_store(&refuses_memory, true);
   MUST(!slab_alloc(&child));
   atomic_store(&refuses_memory, false);
   slab_destroy_child(&child);
   slab_destroy_parent(&parent);
}

int
main(void)
{
   static struct slab_child_pool destroyed;
   struct slab_parent_pool parent;
   struct slab_child_pool child, sibling;
   void *kept[kept_count];
   unsigned i;

   slab_set_report_handler(say, NULL);
   printf("expect pool_create %p %u %u\n", (void *)&parent, item_size, items);
   slab_create_parent(&parent, item_size, items);
   printf("expect child_create %p %p\n", (void *)&child, (void *)&parent);
   slab_create_child(&child, &parent);
   slab_create_child(&sibling, &parent);

   allocate_all(&child);
   free_from(&sibling, 0);
   allocate_all(&child);
   memcpy(kept, objects, sizeof(kept));
   free_from(&sibling, kept_count);

   MUST(objects[0] = slab_alloc(&child));
   slab_free(&destroyed, objects[0]);
   slab_free(&destroyed, objects[0]);

   slab_trim_child(&child);
   slab_trim_child(&sibling);
   slab_trim_parent(&parent);
   slab_trim_heap();
   contend();
   be_refused();

   printf("expect child_destroy %p %p\n", (void *)&child, (void *)&parent);
   slab_destroy_child(&child);
   slab_destroy_child(&sibling);
   printf("expect pool_destroy %p %u 0\n", (void *)&parent, kept_count);
   slab_destroy_parent(&parent);
   for (i = 0; i < kept_count; i++)
      slab_free(&destroyed, kept[i]);
   return 0;
}
