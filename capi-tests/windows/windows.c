/* SPDX-License-Identifier: MIT */
/*
 * What is Windows' own: reservations, purging, unloading, and what is said at the end and on misuse. The program runs
 * itself again for what needs a process of its own.
 */
#include "cmocka_case.h"
#include "live_objects.h"
#include "must.h"
#include "slab.h"
#include "slab_ext.h"

#include <fcntl.h>
#include <io.h>
#include <process.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>
#include <windows.h>

enum { chunk = 4 << 20, chunk_header = chunk / 32, status_of_abort = 3 };

static const char *own_path;

static DWORD
state_of(const void *address)
{
   MEMORY_BASIC_INFORMATION information;

   MUST(VirtualQuery(address, &information, sizeof(information)) == sizeof(information));
   return information.State;
}

static struct slab_heap_stats
heap_stats(void)
{
   struct slab_heap_stats stats;

   stats.struct_size = sizeof(stats);
   slab_get_heap_stats(&stats);
   return stats;
}

static void
free_memory_is_released(void **state)
{
   static void *objects[1000];
   struct slab_parent_pool parent;
   struct slab_child_pool child;
   size_t i, count = sizeof(objects) / sizeof(objects[0]);

   (void)state;
   slab_create_parent(&parent, 20000, 16);
   slab_create_child(&child, &parent);
   for (i = 0; i < count; i++) {
      objects[i] = slab_zalloc(&child);
      assert_non_null(objects[i]);
      assert_int_equal(state_of(objects[i]), MEM_COMMIT);
   }
   assert_true(heap_stats().mapped >= 20000 * count);
   for (i = 0; i < count; i++)
      slab_free(&child, objects[i]);
   slab_destroy_child(&child);
   slab_destroy_parent(&parent);
   slab_trim_heap();
   assert_int_equal(heap_stats().mapped, 0);
   for (i = 0; i < count; i++)
      assert_int_equal(state_of(objects[i]), MEM_FREE);
}

static void
purged_memory_is_used_again(void **state)
{
   static unsigned char zeroes[700];
   const unsigned item_size = sizeof(zeroes), count = 20000;
   struct slab_parent_pool parent;
   struct slab_child_pool child;
   struct live_objects live;
   unsigned round;
   size_t i;

   (void)state;
   live_create(&live, count);
   slab_create_parent(&parent, item_size, 16);
   slab_create_child(&child, &parent);
   for (round = 0; round < 3; round++) {
      while (live.count < count) {
         void *object = slab_zalloc(&child);

         assert_non_null(object);
         assert_memory_equal(object, zeroes, item_size);
         live_add(&live, object, item_size);
      }
      for (i = count; i-- > 0;) {
         if ((uintptr_t)live.objects[i].ptr >> 18 & 1)
            slab_free(&child, live_take(&live, i));
      }
      slab_trim_child(&child);
      slab_trim_parent(&parent);
      assert_true(slab_trim_heap() >= (2 << 20));
      assert_true(live_intact(&live));
      assert_int_equal(slab_validate(&parent), 0);
   }
   while (live.count > 0)
      slab_free(&child, live_take(&live, live.count - 1));
   slab_destroy_child(&child);
   slab_destroy_parent(&parent);
   live_destroy(&live);
}

/* Takes and leaves address space, in the places that reservations are looked for in. */
static void *
take_address_space(void *stop)
{
   unsigned i;

   for (i = 0; !__atomic_load_n((bool *)stop, __ATOMIC_RELAXED); i++) {
      void *taken = VirtualAlloc(NULL, (size_t)(1 + i % 64) << 16, MEM_RESERVE, PAGE_NOACCESS);

      MUST(taken);
      MUST(VirtualFree(taken, 0, MEM_RELEASE));
   }
   return NULL;
}

static void *
reserve_large_objects(void *parent)
{
   struct slab_child_pool child;
   void *objects[4];
   unsigned round, i;

   slab_create_child(&child, (struct slab_parent_pool *)parent);
   for (round = 0; round < 200; round++) {
      for (i = 0; i < 4; i++) {
         objects[i] = slab_alloc(&child);
         MUST(objects[i]);
         MUST(((uintptr_t)objects[i] & (chunk - 1)) == chunk_header);
         contents_write(objects[i], 5000001, round * 4 + i);
      }
      for (i = 0; i < 4; i++) {
         MUST(contents_hold(objects[i], 5000001, round * 4 + i));
         slab_free(&child, objects[i]);
      }
   }
   slab_destroy_child(&child);
   return NULL;
}

static void
reservations_are_aligned_while_others_take_address_space(void **state)
{
   struct slab_parent_pool parent;
   pthread_t takers[2], users[2];
   bool stop = false;
   unsigned i;

   (void)state;
   slab_create_parent(&parent, 5000001, 1);
   for (i = 0; i < 2; i++) {
      MUST(pthread_create(&takers[i], NULL, take_address_space, &stop) == 0);
      MUST(pthread_create(&users[i], NULL, reserve_large_objects, &parent) == 0);
   }
   for (i = 0; i < 2; i++)
      pthread_join(users[i], NULL);
   __atomic_store_n(&stop, true, __ATOMIC_RELAXED);
   for (i = 0; i < 2; i++)
      pthread_join(takers[i], NULL);
   slab_destroy_parent(&parent);
   slab_trim_heap();
   assert_int_equal(heap_stats().mapped, 0);
}

typedef void (*create_parent_function)(struct slab_parent_pool *, unsigned, unsigned);
typedef void (*create_child_function)(struct slab_child_pool *, struct slab_parent_pool *);
typedef void *(*alloc_function)(struct slab_child_pool *);
typedef void (*free_function)(struct slab_child_pool *, void *);
typedef void (*destroy_child_function)(struct slab_child_pool *);
typedef void (*destroy_parent_function)(struct slab_parent_pool *);

static void (*function_of(HMODULE dll, const char *name))(void)
{
   FARPROC function = GetProcAddress(dll, name);

   MUST(function);
   return (void (*)(void))function;
}

/* A copy of its own: the program may have the DLL loaded for good. */
static HMODULE
load_copy(void)
{
   HMODULE dll;

   MUST(CopyFileA("mesa_slab.dll", "copy_of_mesa_slab.dll", FALSE));
   dll = LoadLibraryA("copy_of_mesa_slab.dll");
   MUST(dll);
   return dll;
}

static void
unloading_the_dll_releases_free_memory(void **state)
{
   HMODULE dll = load_copy();
   create_parent_function create_parent = (create_parent_function)function_of(dll, "slab_create_parent");
   create_child_function create_child = (create_child_function)function_of(dll, "slab_create_child");
   alloc_function alloc = (alloc_function)function_of(dll, "slab_alloc");
   free_function free_object = (free_function)function_of(dll, "slab_free");
   destroy_child_function destroy_child = (destroy_child_function)function_of(dll, "slab_destroy_child");
   destroy_parent_function destroy_parent = (destroy_parent_function)function_of(dll, "slab_destroy_parent");
   struct slab_parent_pool parent;
   struct slab_child_pool child;
   void *object;

   (void)state;
   create_parent(&parent, 96, 64);
   create_child(&child, &parent);
   object = alloc(&child);
   assert_non_null(object);
   free_object(&child, object);
   destroy_child(&child);
   /* What the pool is made of lies in the heap as well. */
   destroy_parent(&parent);
   /* Kept for reuse. */
   assert_int_equal(state_of(object), MEM_COMMIT);
   assert_true(FreeLibrary(dll));
   assert_null(GetModuleHandleA("copy_of_mesa_slab.dll"));
   assert_int_equal(state_of(object), MEM_FREE);
}

static void
unloading_the_dll_leaves_objects_that_are_out(void **state)
{
   HMODULE dll = load_copy();
   create_parent_function create_parent = (create_parent_function)function_of(dll, "slab_create_parent");
   create_child_function create_child = (create_child_function)function_of(dll, "slab_create_child");
   alloc_function alloc = (alloc_function)function_of(dll, "slab_alloc");
   struct slab_parent_pool parent;
   struct slab_child_pool child;
   void *object;

   (void)state;
   create_parent(&parent, 96, 64);
   create_child(&child, &parent);
   object = alloc(&child);
   assert_non_null(object);
   contents_write(object, 96, 7);
   assert_true(FreeLibrary(dll));
   assert_true(contents_hold(object, 96, 7));
}

/* What the program does when it runs itself with a word. */
static int
run_part(const char *part)
{
   static struct slab_parent_pool parent;
   static struct slab_child_pool child;
   void *object;

   slab_create_parent(&parent, 96, 64);
   slab_set_name(&parent, "part");
   slab_create_child(&child, &parent);
   object = slab_alloc(&child);
   MUST(object);
   if (strcmp(part, "double-free") == 0) {
      slab_free(&child, object);
      slab_free(&child, object);
      slab_destroy_child(&child);
   }
   return 0;
}

/* Runs a part with an environment variable set. Returns its status, and what it wrote to stderr, or to the file. */
static intptr_t
run_itself(const char *part, const char *variable, const char *file, char *said, size_t room)
{
   char unset[64];
   int written = _open("windows-stderr", _O_RDWR | _O_CREAT | _O_TRUNC | _O_BINARY, _S_IREAD | _S_IWRITE);
   int kept = _dup(2), length;
   intptr_t status;

   MUST(written >= 0 && kept >= 0);
   fflush(stderr);
   MUST(_dup2(written, 2) == 0);
   MUST(_putenv(variable) == 0);
   status = _spawnl(_P_WAIT, own_path, own_path, part, (char *)NULL);
   MUST(_dup2(kept, 2) == 0);
   _close(kept);
   snprintf(unset, sizeof(unset), "%.*s=", (int)strcspn(variable, "="), variable);
   MUST(_putenv(unset) == 0);

   if (file) {
      _close(written);
      written = _open(file, _O_RDONLY | _O_BINARY);
      MUST(written >= 0);
   }
   MUST(_lseek(written, 0, SEEK_SET) == 0);
   length = _read(written, said, (unsigned)room - 1);
   MUST(length >= 0);
   said[length] = 0;
   _close(written);
   return status;
}

static void
statistics_are_written_at_the_end(void **state)
{
   char said[8192];

   (void)state;
   assert_int_equal(run_itself("use", "SLAB_STATS=stderr", NULL, said, sizeof(said)), 0);
   assert_non_null(strstr(said, "part 96x64"));
   assert_int_equal(run_itself("use", "SLAB_STATS=windows-stats.json", "windows-stats.json", said, sizeof(said)), 0);
   assert_non_null(strstr(said, "\"name\": \"part\""));
}

static void
misuse_is_reported_on_stderr(void **state)
{
   char said[8192];

   (void)state;
   assert_int_equal(run_itself("double-free", "SLAB_DEBUG=leaks", NULL, said, sizeof(said)), 0);
   assert_non_null(strstr(said, "slab_free: pool part 96x64"));
   assert_non_null(strstr(said, "double free"));
   assert_int_equal(run_itself("double-free", "SLAB_DEBUG=abort", NULL, said, sizeof(said)), status_of_abort);
   assert_non_null(strstr(said, "double free"));
}

int
main(int argc, char **argv)
{
   const struct CMUnitTest tests[] = {
      cmocka_unit_test(free_memory_is_released),
      cmocka_unit_test(purged_memory_is_used_again),
      cmocka_unit_test(reservations_are_aligned_while_others_take_address_space),
      cmocka_unit_test(unloading_the_dll_releases_free_memory),
      cmocka_unit_test(unloading_the_dll_leaves_objects_that_are_out),
      cmocka_unit_test(statistics_are_written_at_the_end),
      cmocka_unit_test(misuse_is_reported_on_stderr),
   };

   if (argc > 1)
      return run_part(argv[1]);
   own_path = argv[0];
   return cmocka_run_group_tests(tests, NULL, NULL);
}
