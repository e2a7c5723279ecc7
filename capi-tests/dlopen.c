/* SPDX-License-Identifier: MIT */
/*
 * The shared library loaded as drivers are: with dlopen, used, and unloaded, with nothing of it left
 * behind. This program is not linked with the library; SLAB_LIBRARY is its path.
 */
#include "address_space.h"
#include "child_process.h"
#include "cmocka_case.h"
#include "live_objects.h"
#include "must.h"
#include "os_requests.h"
#include "slab.h"

#include <dlfcn.h>
#include <pthread.h>
#include <string.h>

struct loaded {
   void *handle;
   void (*create)(struct slab_mempool *, unsigned, unsigned);
   void (*destroy)(struct slab_mempool *);
   void *(*alloc)(struct slab_mempool *);
   void (*release)(struct slab_mempool *, void *);
};

/* A function's address comes as an object pointer, which C does not convert. */
static void
find(void *handle, const char *name, void *function)
{
   void *address = dlsym(handle, name);

   MUST(address);
   memcpy(function, &address, sizeof(address));
}

static struct loaded
load(void)
{
   struct loaded slab;

   slab.handle = dlopen(SLAB_LIBRARY, RTLD_NOW | RTLD_LOCAL);
   if (!slab.handle)
      fprintf(stderr, "%s\n", dlerror());
   MUST(slab.handle);
   find(slab.handle, "slab_create", &slab.create);
   find(slab.handle, "slab_destroy", &slab.destroy);
   find(slab.handle, "slab_alloc_st", &slab.alloc);
   find(slab.handle, "slab_free_st", &slab.release);
   return slab;
}

static void
unload(struct loaded *slab)
{
   MUST(dlclose(slab->handle) == 0);
   slab->handle = NULL;
}

/* The same where everything was freed: all that the library got from the system is then given back. */
static void
unload_whole(struct loaded *slab)
{
   unload(slab);
   MUST(os_bytes_held() == 0);
}

/* Uses a pool and frees everything; gives back an address that an object had. */
static void *
use(const struct loaded *slab, unsigned item_size, unsigned count)
{
   struct slab_mempool pool;
   struct live_objects live;
   void *somewhere = NULL;

   live_create(&live, count);
   slab->create(&pool, item_size, 16);
   while (live.count < count) {
      somewhere = slab->alloc(&pool);
      live_add(&live, somewhere, item_size);
   }
   MUST(live_apart(&live));
   while (live.count > 0) {
      void *object = live_take(&live, live.count - 1);
      MUST(object);
      slab->release(&pool, object);
   }
   slab->destroy(&pool);
   live_destroy(&live);
   return somewhere;
}

static void
library_is_gone_after_dlclose(void **state)
{
   struct loaded slab = load();
   const char *name = strrchr(SLAB_LIBRARY, '/');

   (void)state;
   use(&slab, 96, 1000);
   assert_true(address_space_look(name, NULL).has_file);
   unload_whole(&slab);
   assert_false(address_space_look(name, NULL).has_file);
}

static void
free_memory_is_gone_after_dlclose(void **state)
{
   int round;

   (void)state;
   for (round = 0; round < 10; round++) {
      struct loaded slab = load();
      void *small = use(&slab, 96, 1000);
      void *large = use(&slab, 5u << 20, 2);

      /* The heap keeps a chunk for the next pool: that is what has to go. */
      assert_true(os_bytes_held() > 0);
      assert_true(address_space_look(NULL, small).has_address);
      unload_whole(&slab);
      assert_false(address_space_look(NULL, small).has_address);
      assert_false(address_space_look(NULL, large).has_address);
   }
}

static void
use_and_unload(void *arg)
{
   struct loaded *slab = (struct loaded *)arg;

   use(slab, 96, 1000);
   unload_whole(slab);
}

static void
load_and_use(void *arg)
{
   struct loaded slab = load();

   (void)arg;
   use_and_unload(&slab);
}

/* A handler for fork left behind would now be called at an address that is unmapped. */
static void
fork_works_after_dlclose(void **state)
{
   struct child_process child;
   int round;

   (void)state;
   for (round = 0; round < 5; round++) {
      struct loaded slab = load();

      use(&slab, 96, 1000);
      unload_whole(&slab);
      assert_true(child_run(&child, load_and_use, NULL));
   }
}

static void
fork_works_while_loaded(void **state)
{
   struct child_process child;
   struct loaded slab = load();

   (void)state;
   use(&slab, 96, 1000);
   assert_true(child_run(&child, use_and_unload, &slab));
   use(&slab, 96, 1000);
   unload_whole(&slab);
}

static void
loaded_and_unloaded_without_use(void **state)
{
   struct child_process child;
   struct loaded slab = load();

   (void)state;
   unload_whole(&slab);
   assert_true(child_run(&child, load_and_use, NULL));
}

/* Whoever still holds an object may look at it, though nobody is left to free it. */
static void
object_that_is_out_stays_readable(void **state)
{
   struct loaded slab = load();
   struct slab_mempool pool;
   void *object;

   (void)state;
   slab.create(&pool, 96, 16);
   object = slab.alloc(&pool);
   assert_non_null(object);
   contents_write(object, 96, 7);
   slab.destroy(&pool);
   unload(&slab);
   assert_true(contents_hold(object, 96, 7));
   os_count_from_here();
}

static void *
use_on_thread(void *arg)
{
   use((const struct loaded *)arg, 96, 2000);
   return NULL;
}

/* Nothing of the library may be tied to a thread that has used it. */
static void
unloaded_after_threads_have_used_it(void **state)
{
   int round, i;

   (void)state;
   for (round = 0; round < 5; round++) {
      struct loaded slab = load();
      pthread_t threads[3];

      for (i = 0; i < 3; i++)
         assert_int_equal(pthread_create(&threads[i], NULL, use_on_thread, &slab), 0);
      for (i = 0; i < 3; i++)
         assert_int_equal(pthread_join(threads[i], NULL), 0);
      unload_whole(&slab);
   }
}

int
main(void)
{
   const struct CMUnitTest tests[] = {
      cmocka_unit_test(library_is_gone_after_dlclose),
      cmocka_unit_test(free_memory_is_gone_after_dlclose),
      cmocka_unit_test(fork_works_after_dlclose),
      cmocka_unit_test(fork_works_while_loaded),
      cmocka_unit_test(loaded_and_unloaded_without_use),
      cmocka_unit_test(object_that_is_out_stays_readable),
      cmocka_unit_test(unloaded_after_threads_have_used_it),
   };

   os_count_from_here();
   return cmocka_run_group_tests(tests, NULL, NULL);
}
