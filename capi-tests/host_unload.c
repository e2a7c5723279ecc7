/* SPDX-License-Identifier: MIT */
/*
 * What others keep of a library that is unloaded. SLAB_LIBRARY is the path of the shared library, PRIVATE_DRIVER_A that
 * of a driver with the static one inside; this program is not linked with either.
 */
#include "child_process.h"
#include "cmocka_case.h"
#include "must.h"
#include "private_driver.h"

#include <dlfcn.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void
find(void *handle, const char *name, void *function)
{
   void *address = dlsym(handle, name);

   MUST(address);
   memcpy(function, &address, sizeof(address));
}

static void *
load(bool shared, struct private_driver *slab)
{
   void *handle = dlopen(shared ? SLAB_LIBRARY : PRIVATE_DRIVER_A, RTLD_NOW | RTLD_LOCAL);
   void (*open_driver)(struct private_driver *);

   MUST(handle);
   if (shared) {
      find(handle, "slab_create", &slab->create);
      find(handle, "slab_destroy", &slab->destroy);
      find(handle, "slab_alloc_st", &slab->alloc);
      find(handle, "slab_free_st", &slab->release);
   } else {
      find(handle, "private_driver_open", &open_driver);
      open_driver(slab);
   }
   return handle;
}

static void
use(const struct private_driver *slab)
{
   struct slab_mempool pool;
   void *objects[500];
   int i;

   slab->create(&pool, 96, 16);
   for (i = 0; i < 500; i++)
      MUST(objects[i] = slab->alloc(&pool));
   for (i = 0; i < 500; i++)
      slab->release(&pool, objects[i]);
   slab->destroy(&pool);
}

static volatile char *volatile nowhere = NULL;

/* A crash reporter: says so, and hands on to whatever handled the signal before it. */
static struct sigaction before;

static void
crash_reporter(int signal, siginfo_t *info, void *context)
{
   static int calls;

   fprintf(stderr, "crash reporter: call %d\n", ++calls);
   if (calls > 3)
      _exit(42);
   if (before.sa_flags & SA_SIGINFO)
      before.sa_sigaction(signal, info, context);
   else
      sigaction(signal, &before, NULL);
}

struct what {
   bool shared;
   const char *variable, *value;
};

static void
chained_body(void *arg)
{
   const struct what *what = (const struct what *)arg;
   struct private_driver slab;
   struct sigaction action;
   void *handle;

   setenv(what->variable, what->value, 1);
   handle = load(what->shared, &slab);
   use(&slab);
   memset(&action, 0, sizeof(action));
   action.sa_sigaction = crash_reporter;
   action.sa_flags = SA_SIGINFO | SA_NODEFER;
   MUST(sigaction(SIGSEGV, &action, &before) == 0);
   MUST(dlclose(handle) == 0);
   *nowhere = 1;
}

static void
a_handler_that_others_call_is_there_after_dlclose(void **state)
{
   static const struct what all[] = {
      {true, "SLAB_DEBUG", "guard"},
      {true, "SLAB_SAMPLE", "10"},
      {false, "SLAB_DEBUG", "guard"},
      {false, "SLAB_SAMPLE", "10"},
   };
   struct child_process process;
   size_t i;

   (void)state;
   for (i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
      struct what what = all[i];

      child_start(&process, chained_body, &what);
      child_wait_quietly(&process);
      assert_non_null(strstr(process.said, "crash reporter: call 1\n"));
      assert_null(strstr(process.said, "crash reporter: call 2\n"));
      assert_true(WIFSIGNALED(process.status));
      assert_int_equal(WTERMSIG(process.status), SIGSEGV);
   }
}

/* Without a handler nothing keeps the library; see dlopen.c. With one, it is the same library that is loaded again. */
static void
again_body(void *arg)
{
   const struct what *what = (const struct what *)arg;
   struct private_driver slab, same;
   void *handle;
   int round;

   setenv(what->variable, what->value, 1);
   handle = load(what->shared, &slab);
   use(&slab);
   for (round = 0; round < 5; round++) {
      MUST(dlclose(handle) == 0);
      handle = load(what->shared, &same);
      MUST(same.alloc == slab.alloc);
      use(&same);
   }
}

static void
a_library_that_stayed_is_used_again(void **state)
{
   struct what what = {true, "SLAB_DEBUG", "guard"};
   struct child_process process;

   (void)state;
   assert_true(child_run(&process, again_body, &what));
   what.shared = false;
   assert_true(child_run(&process, again_body, &what));
}

#if defined(__SANITIZE_ADDRESS__)
#define ADDRESS_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ADDRESS_SANITIZER 1
#endif
#endif

#ifdef ADDRESS_SANITIZER
#include <sanitizer/asan_interface.h>

static void
misuse_of_malloc(void)
{
   char *volatile freed = (char *)malloc(10);

   free(freed);
   freed[3] = 1;
}

static void
error_body(void *arg)
{
   const struct what *what = (const struct what *)arg;
   struct private_driver slab;
   void *handle;

   if (what->value)
      setenv(what->variable, what->value, 1);
   else
      unsetenv(what->variable);
   handle = load(what->shared, &slab);
   use(&slab);
   MUST(dlclose(handle) == 0);
   misuse_of_malloc();
}

/* With a callback of the library's, which then stays loaded, and without. */
static void
a_sanitizers_report_after_dlclose_is_whole(void **state)
{
   struct what what = {true, "SLAB_TOOLS", NULL};
   struct child_process process;
   int i;

   (void)state;
   for (i = 0; i < 4; i++) {
      what.shared = i % 2 == 0;
      what.value = i / 2 == 0 ? NULL : "describe";
      child_start(&process, error_body, &what);
      child_wait_quietly(&process);
      assert_non_null(strstr(process.said, "SUMMARY: AddressSanitizer: heap-use-after-free"));
      assert_null(strstr(process.said, "nested bug"));
   }
}

static void
note_report(const char *report)
{
   (void)report;
   fprintf(stderr, "the program's callback\n");
}

/* A use after free of a driver's object, in a program that has a callback. */
static void
own_callback_body(void *arg)
{
   const struct what *what = (const struct what *)arg;
   struct private_driver slab;
   struct slab_mempool pool;
   char *volatile object;

   if (what->value)
      setenv(what->variable, what->value, 1);
   else
      unsetenv(what->variable);
   __asan_set_error_report_callback(note_report);
   load(what->shared, &slab);
   slab.create(&pool, 96, 16);
   object = (char *)slab.alloc(&pool);
   MUST(object);
   slab.release(&pool, object);
   object[3] = 1;
}

/* The library cannot call it, so that it puts its own in its place only if it is told to. */
static void
a_program_keeps_its_callback_in_a_sanitizer(void **state)
{
   struct what what = {true, "SLAB_TOOLS", NULL};
   struct child_process process;
   int i;

   (void)state;
   for (i = 0; i < 4; i++) {
      bool described = i / 2 == 1;

      what.shared = i % 2 == 0;
      what.value = described ? "describe" : NULL;
      child_start(&process, own_callback_body, &what);
      child_wait_quietly(&process);
      assert_non_null(strstr(process.said, "SUMMARY: AddressSanitizer: use-after-poison"));
      assert_true(!strstr(process.said, "the program's callback\n") == described);
      assert_true(!strstr(process.said, ": use after free of object 0x") == !described);
   }
}
#endif

int
main(void)
{
   const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_handler_that_others_call_is_there_after_dlclose),
      cmocka_unit_test(a_library_that_stayed_is_used_again),
#ifdef ADDRESS_SANITIZER
      cmocka_unit_test(a_sanitizers_report_after_dlclose_is_whole),
      cmocka_unit_test(a_program_keeps_its_callback_in_a_sanitizer),
#endif
   };

   return cmocka_run_group_tests(tests, NULL, NULL);
}
