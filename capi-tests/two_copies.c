/* SPDX-License-Identifier: MIT */
/*
 * Two drivers with a static copy of the library each, which may be built in different ways, linked to one program or
 * loaded with RTLD_GLOBAL: neither is bound to a function of the other's. COPY_PLAIN and COPY_INLINE are the paths of
 * the drivers; the program has a copy as well, or the shared library.
 */
#include "child_process.h"
#include "cmocka_case.h"
#include "must.h"
#include "slab.h"

#include <dlfcn.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif
int copy_plain(void);
int copy_inline(void);
#ifdef __cplusplus
}
#endif

static void
use_linked_body(void *arg)
{
   struct slab_mempool pool;
   void *object;

   (void)arg;
   slab_create(&pool, 96, 16);
   object = slab_alloc_st(&pool);
   MUST(object);
   MUST(copy_plain() == 0);
   MUST(copy_inline() == 0);
   MUST(copy_plain() == 0);
   slab_free_st(&pool, object);
   slab_destroy(&pool);
}

static int
call(void *handle, const char *name)
{
   void *address = dlsym(handle, name);
   int (*function)(void);

   MUST(address);
   memcpy(&function, &address, sizeof(address));
   return function();
}

static void
use_loaded_body(void *arg)
{
   static const char *const paths[2][2] = {{COPY_PLAIN, COPY_INLINE}, {COPY_INLINE, COPY_PLAIN}};
   static const char *const names[2][2] = {{"copy_plain", "copy_inline"}, {"copy_inline", "copy_plain"}};
   const int first = *(const int *)arg;
   void *handles[2];
   int i;

   for (i = 0; i < 2; i++) {
      handles[i] = dlopen(paths[first][i], RTLD_LAZY | RTLD_GLOBAL);
      if (!handles[i])
         fprintf(stderr, "%s\n", dlerror());
      MUST(handles[i]);
   }
   for (i = 0; i < 4; i++)
      MUST(call(handles[i % 2], names[first][i % 2]) == 0);
}

static void
copies_of_drivers_that_are_linked_stay_apart(void **state)
{
   struct child_process child;

   (void)state;
   assert_true(child_run(&child, use_linked_body, NULL));
   assert_string_equal(child.said, "");
}

static void
copies_of_drivers_that_are_loaded_globally_stay_apart(void **state)
{
   struct child_process child;
   int first;

   (void)state;
   for (first = 0; first < 2; first++) {
      assert_true(child_run(&child, use_loaded_body, &first));
      assert_string_equal(child.said, "");
   }
}

static void
a_driver_exports_nothing_of_its_copy(void **state)
{
   static const char *const paths[] = {COPY_PLAIN, COPY_INLINE};
   static const char *const names[] = {"slab_alloc", "slab_free", "slab_create_parent", "slab_alloc_layout_2"};
   Dl_info at;
   int i;
   size_t j;

   (void)state;
   /*
    * The program sees all of the shared library's functions, if it is linked with that, or none. The last one is not
    * in a hardened library.
    */
   for (j = 1; j + 1 < sizeof(names) / sizeof(names[0]); j++)
      assert_true(!dlsym(RTLD_DEFAULT, names[j]) == !dlsym(RTLD_DEFAULT, names[0]));
   for (i = 0; i < 2; i++) {
      void *handle = dlopen(paths[i], RTLD_NOW | RTLD_LOCAL);
      assert_non_null(handle);
      for (j = 0; j < sizeof(names) / sizeof(names[0]); j++) {
         void *address = dlsym(handle, names[j]);
         assert_true(!address || (dladdr(address, &at) && strcmp(at.dli_fname, paths[i]) != 0));
      }
      dlclose(handle);
   }
}

int
main(void)
{
   const struct CMUnitTest tests[] = {
      cmocka_unit_test(copies_of_drivers_that_are_linked_stay_apart),
      cmocka_unit_test(copies_of_drivers_that_are_loaded_globally_stay_apart),
      cmocka_unit_test(a_driver_exports_nothing_of_its_copy),
   };

   return cmocka_run_group_tests(tests, NULL, NULL);
}
