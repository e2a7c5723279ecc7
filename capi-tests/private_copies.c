/* SPDX-License-Identifier: MIT */
/*
 * Two drivers in one process, each with a copy of the library of its own, and the program's copy as
 * a third: three heaps that never meet. PRIVATE_DRIVER_A and _B are the paths of the drivers.
 */
#include "private_driver.h"
#include "address_space.h"
#include "child_process.h"
#include "cmocka_case.h"
#include "live_objects.h"
#include "must.h"

#include <dlfcn.h>
#include <string.h>

enum { copies = 3, item_size = 96, count = 600 };

struct copy {
   void *handle; /* NULL: the program's own */
   struct private_driver slab;
   struct slab_mempool pool;
   struct live_objects live;
};

static void
copy_open(struct copy *copy, const char *path)
{
   void (*open_driver)(struct private_driver *);
   void *address;

   copy->handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
   if (!copy->handle)
      fprintf(stderr, "%s\n", dlerror());
   MUST(copy->handle);
   address = dlsym(copy->handle, "private_driver_open");
   MUST(address);
   memcpy(&open_driver, &address, sizeof(address));
   open_driver(&copy->slab);
}

static void
copy_of_the_program(struct copy *copy)
{
   copy->handle = NULL;
   copy->slab.create = slab_create;
   copy->slab.destroy = slab_destroy;
   copy->slab.alloc = slab_alloc_st;
   copy->slab.release = slab_free_st;
}

static void
copy_fill(struct copy *copy)
{
   live_create(&copy->live, count);
   copy->slab.create(&copy->pool, item_size, 16);
   while (copy->live.count < count)
      live_add(&copy->live, copy->slab.alloc(&copy->pool), item_size);
}

static void
copy_free_all(struct copy *copy)
{
   while (copy->live.count > 0) {
      void *object = live_take(&copy->live, 0);
      MUST(object);
      copy->slab.release(&copy->pool, object);
   }
}

static void
copy_close(struct copy *copy)
{
   copy_free_all(copy);
   copy->slab.destroy(&copy->pool);
   live_destroy(&copy->live);
   if (copy->handle)
      MUST(dlclose(copy->handle) == 0);
}

static void
open_all(struct copy all[copies])
{
   copy_open(&all[0], PRIVATE_DRIVER_A);
   copy_open(&all[1], PRIVATE_DRIVER_B);
   copy_of_the_program(&all[2]);
}

/* Else the loader would bind every copy to the first, and this file would test nothing. */
static void
copies_have_functions_of_their_own(void **state)
{
   struct copy all[copies];
   int i;

   (void)state;
   open_all(all);
   assert_true(all[0].slab.alloc != all[1].slab.alloc);
   assert_true(all[0].slab.alloc != all[2].slab.alloc);
   assert_true(all[1].slab.alloc != all[2].slab.alloc);
   for (i = 0; i < 2; i++) {
      assert_null(dlsym(all[i].handle, "slab_alloc"));
      assert_null(dlsym(all[i].handle, "slab_alloc_st"));
      assert_int_equal(dlclose(all[i].handle), 0);
   }
}

static void
objects_of_all_copies_are_apart(void **state)
{
   struct copy all[copies];
   struct live_objects together;
   int round, i;
   size_t j;

   (void)state;
   open_all(all);
   for (i = 0; i < copies; i++)
      copy_fill(&all[i]);
   for (round = 0; round < 10; round++) {
      for (i = 0; i < copies; i++) {
         struct copy *copy = &all[i];
         for (j = 0; j < copy->live.count; j += 1 + (j + (size_t)i) % 3) {
            void *object = live_take(&copy->live, j);
            assert_non_null(object);
            copy->slab.release(&copy->pool, object);
         }
      }
      for (i = 0; i < copies; i++) {
         while (all[i].live.count < count)
            live_add(&all[i].live, all[i].slab.alloc(&all[i].pool), item_size);
      }
      live_create(&together, copies * count);
      for (i = 0; i < copies; i++) {
         assert_true(live_intact(&all[i].live));
         for (j = 0; j < count; j++)
            together.objects[together.count++] = all[i].live.objects[j];
      }
      assert_true(live_apart(&together));
      live_destroy(&together);
   }
   for (i = 0; i < copies; i++)
      copy_close(&all[i]);
}

/* One driver goes with its heap; the objects of the others stay. */
static void
unloading_one_copy_leaves_the_others(void **state)
{
   struct copy all[copies];
   void *gone;
   int i;

   (void)state;
   open_all(all);
   for (i = 0; i < copies; i++)
      copy_fill(&all[i]);
   gone = all[0].live.objects[0].ptr;
   copy_close(&all[0]);
   assert_false(address_space_look(NULL, gone).has_address);
   for (i = 1; i < copies; i++) {
      assert_true(live_intact(&all[i].live));
      copy_free_all(&all[i]);
      while (all[i].live.count < count)
         live_add(&all[i].live, all[i].slab.alloc(&all[i].pool), item_size);
      assert_true(live_apart(&all[i].live));
      copy_close(&all[i]);
   }
}

static void
use_all(void *arg)
{
   struct copy *all = (struct copy *)arg;
   int i;

   for (i = 0; i < copies; i++) {
      MUST(live_intact(&all[i].live));
      copy_free_all(&all[i]);
      while (all[i].live.count < count)
         live_add(&all[i].live, all[i].slab.alloc(&all[i].pool), item_size);
   }
}

static void
load_again(void *arg)
{
   struct copy all[copies];
   int i;

   (void)arg;
   open_all(all);
   for (i = 0; i < copies; i++) {
      copy_fill(&all[i]);
      copy_close(&all[i]);
   }
}

static void
fork_with_all_copies_loaded(void **state)
{
   struct child_process child;
   struct copy all[copies];
   int i;

   (void)state;
   open_all(all);
   for (i = 0; i < copies; i++)
      copy_fill(&all[i]);
   assert_true(child_run(&child, use_all, all));
   use_all(all);
   copy_close(&all[1]);
   copy_close(&all[0]);
   copy_close(&all[2]);
   assert_true(child_run(&child, load_again, NULL));
}

int
main(void)
{
   const struct CMUnitTest tests[] = {
      cmocka_unit_test(copies_have_functions_of_their_own),
      cmocka_unit_test(objects_of_all_copies_are_apart),
      cmocka_unit_test(unloading_one_copy_leaves_the_others),
      cmocka_unit_test(fork_with_all_copies_loaded),
   };

   return cmocka_run_group_tests(tests, NULL, NULL);
}
