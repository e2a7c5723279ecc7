/* SPDX-License-Identifier: MIT */
/*
 * The library's handler of faults, which comes with guarded objects, before the program's own one: that is called as if
 * it had been installed itself. And the program's handlers of other signals, which interrupt it anywhere. Each case is a
 * process of its own. The rows of docs/host.md name them.
 */
#include "child_process.h"
#include "cmocka_case.h"
#include "iterations.h"
#include "must.h"
#include "slab.h"
#include "slab_ext.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef AT_MINSIGSTKSZ
#define AT_MINSIGSTKSZ 51
#endif

enum { size = 96 };

static struct slab_parent_pool parent;
static struct slab_child_pool child;
static char *freed;

/* After the program's own handler is installed. */
static void
create_guarded(void)
{
   MUST(setenv("SLAB_DEBUG", "guard", 1) == 0);
   slab_create_parent(&parent, size, 16);
   slab_create_child(&child, &parent);
   freed = (char *)slab_alloc(&child);
   MUST(freed);
   slab_free(&child, freed);
}

static void
fault(void)
{
   *(volatile char *)freed = 1;
}

static void
install(void (*handler)(int, siginfo_t *, void *), int flags, int blocked)
{
   struct sigaction action;

   memset(&action, 0, sizeof(action));
   if (flags & SA_SIGINFO)
      action.sa_sigaction = handler;
   else
      memcpy(&action.sa_handler, &handler, sizeof(handler));
   action.sa_flags = flags;
   sigemptyset(&action.sa_mask);
   if (blocked)
      sigaddset(&action.sa_mask, blocked);
   MUST(sigaction(SIGSEGV, &action, NULL) == 0);
}

/* The smallest stack for signals that the system knows of. */
static char *alternate;
static size_t alternate_bytes;

static void
set_alternate_stack(size_t bytes)
{
   size_t page = (size_t)sysconf(_SC_PAGESIZE), pages = (bytes + page - 1) / page * page;
   char *start = (char *)mmap(NULL, pages + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
   stack_t stack;

   MUST(start != MAP_FAILED && mprotect(start + page, pages, PROT_READ | PROT_WRITE) == 0);
   memset(&stack, 0, sizeof(stack));
   stack.ss_sp = alternate = start + page;
   stack.ss_size = alternate_bytes = bytes;
   MUST(sigaltstack(&stack, NULL) == 0);
}

static size_t
smallest_stack(void)
{
   size_t bytes = getauxval(AT_MINSIGSTKSZ);

   return bytes > (size_t)MINSIGSTKSZ ? bytes : (size_t)MINSIGSTKSZ;
}

/* By its address: the dynamic linker takes more stack than there is to bind a function at its first call. */
static void (*volatile leave)(int) = _exit;

static void
leave_at_once(int signal, siginfo_t *info, void *context)
{
   (void)signal;
   (void)info;
   (void)context;
   leave(5);
}

static void
small_stack_body(void *arg)
{
   set_alternate_stack(smallest_stack() + *(const size_t *)arg);
   install(leave_at_once, SA_SIGINFO | SA_ONSTACK, 0);
   create_guarded();
   fault();
}

static void
must_exit(struct child_process *process, int status)
{
   child_wait_quietly(process);
   if (!WIFEXITED(process->status) || WEXITSTATUS(process->status) != status)
      fprintf(stderr, "status 0x%x, and said:\n%s\n", (unsigned)process->status, process->said);
   assert_true(WIFEXITED(process->status));
   assert_int_equal(WEXITSTATUS(process->status), status);
}

static void
the_note_fits_the_smallest_stack_for_signals(void **state)
{
   static const size_t more[] = {0, 256, 1024, 2048, 8192};
   struct child_process process;
   size_t i;

   (void)state;
   for (i = 0; i < sizeof(more) / sizeof(more[0]); i++) {
      size_t bytes = more[i];
      child_start(&process, small_stack_body, &bytes);
      must_exit(&process, 5);
      assert_non_null(strstr(process.said, "use after free of object"));
      assert_non_null(strstr(process.said, "freed by thread"));
   }
}

/* What the program's handler finds as it is called. */
struct call {
   int flags;
   bool other_blocked, own_blocked, on_stack;
   int number;
   void *address;
};
static struct call call;
static sigjmp_buf back;

/* ThreadSanitizer's runtime blocks all signals while it calls a handler, whatever that was installed with. */
#if defined(__SANITIZE_THREAD__)
static const bool has_mask = false;
#else
static const bool has_mask = true;
#endif

static void
note_call(int signal, siginfo_t *info, void *context)
{
   /* Not that of a variable: a sanitizer has a stack of its own for these. */
   const char *here = (const char *)__builtin_frame_address(0);
   sigset_t mask;

   (void)context;
   MUST(pthread_sigmask(SIG_SETMASK, NULL, &mask) == 0);
   call.other_blocked = sigismember(&mask, SIGUSR1) == 1;
   call.own_blocked = sigismember(&mask, SIGSEGV) == 1;
   MUST(!has_mask || sigismember(&mask, SIGUSR2) == 0);
   call.on_stack = here >= alternate && here < alternate + alternate_bytes;
   call.number = signal;
   call.address = call.flags & SA_SIGINFO ? info->si_addr : freed;
   siglongjmp(back, 1);
}

static void
flags_body(void *arg)
{
   int round;

   call.flags = *(const int *)arg;
   set_alternate_stack(1 << 16);
   install(note_call, call.flags, SIGUSR1);
   create_guarded();
   for (round = 0; round < 3; round++) {
      call.number = 0;
      if (sigsetjmp(back, 1) == 0)
         fault();
      MUST(call.number == SIGSEGV && call.address == freed);
      MUST(call.other_blocked);
      MUST(!has_mask || call.own_blocked == !(call.flags & SA_NODEFER));
      MUST(call.on_stack == !!(call.flags & SA_ONSTACK));
      MUST(call.flags & SA_RESETHAND ? round == 0 : true);
   }
}

static void
the_programs_handler_is_called_as_if_it_had_been_installed_itself(void **state)
{
   struct child_process process;
   int flags;

   (void)state;
   for (flags = 0; flags < 8; flags++) {
      int some = (flags & 1 ? SA_SIGINFO : 0) | (flags & 2 ? SA_NODEFER : 0) | (flags & 4 ? SA_ONSTACK : 0);

      assert_true(child_run(&process, flags_body, &some));
      assert_non_null(strstr(process.said, "use after free of object"));
   }
}

static void
a_handler_that_is_to_be_called_once_is(void **state)
{
   struct child_process process;
   int once = SA_SIGINFO | SA_RESETHAND;

   (void)state;
   child_start(&process, flags_body, &once);
   child_wait_quietly(&process);
   assert_null(strstr(process.said, "does not hold"));
   assert_non_null(strstr(process.said, "use after free of object"));
   assert_true(WIFSIGNALED(process.status));
   assert_int_equal(WTERMSIG(process.status), SIGSEGV);
}

/* How the program's handler leaves: both ways restore no more than they are said to. */
static jmp_buf plain_back;
static bool leaves_plainly;

static void
jump_away(int signal, siginfo_t *info, void *context)
{
   (void)signal;
   (void)info;
   (void)context;
   if (leaves_plainly)
      longjmp(plain_back, 1);
   siglongjmp(back, 1);
}

/* Of a fault that is left by a jump. */
static void
leave_a_fault(void)
{
   if (leaves_plainly ? setjmp(plain_back) == 0 : sigsetjmp(back, 1) == 0) {
      fault();
      MUST(false);
   }
}

/*
 * Which signals are blocked: after longjmp() those that the system has blocked to deliver this one, its own and those of
 * the handler's mask. setjmp() keeps no mask here.
 */
static void
must_be_blocked(bool has_jumped)
{
   sigset_t mask;
   int number;

   MUST(pthread_sigmask(SIG_SETMASK, NULL, &mask) == 0);
   for (number = 1; number < 32; number++)
      MUST(!!sigismember(&mask, number) == (has_jumped && (number == SIGSEGV || number == SIGUSR1)));
}

static void *
leave_faults(void *arg)
{
   sigset_t none;
   int round;

   set_alternate_stack(*(const size_t *)arg);
   sigemptyset(&none);
   for (round = 0; round < 2; round++) {
      MUST(pthread_sigmask(SIG_SETMASK, &none, NULL) == 0);
      leave_a_fault();
      if (has_mask)
         must_be_blocked(leaves_plainly);
   }
   return NULL;
}

static void
must_not_be_called(void *data, const char *report)
{
   (void)data;
   (void)report;
   MUST(!"called");
}

static void
jumping_body(void *arg)
{
   size_t bytes = smallest_stack() + 1024;
   pthread_t thread;

   leaves_plainly = *(const bool *)arg;
   install(jump_away, SA_SIGINFO | SA_ONSTACK, SIGUSR1);
   create_guarded();
   slab_set_report_handler(must_not_be_called, NULL);
   leave_faults(&bytes);
   /* The stack that the first notes were made on is free again, or these overflow the thread's. */
   MUST(pthread_create(&thread, NULL, leave_faults, &bytes) == 0);
   MUST(pthread_join(thread, NULL) == 0);
   slab_free(&child, slab_alloc(&child));
   MUST(slab_validate(&parent) == 0);
}

static void
a_handler_may_leave_by_longjmp(void **state)
{
   struct child_process process;
   int i;

   (void)state;
   for (i = 0; i < 2; i++) {
      bool plainly = i == 1;
      const char *said = process.said;
      int notes = 0;

      assert_true(child_run(&process, jumping_body, &plainly));
      while ((said = strstr(said, "use after free of object")) != NULL) {
         notes++;
         said++;
      }
      assert_int_equal(notes, 4);
   }
}

/*
 * Handlers of other signals. One may call no function of the library if it interrupted one, whose locks are held. So the
 * thread holds the signal back while it is in there, and the handler does what it likes.
 */
enum { handled_objects = 1500 };

static struct slab_child_pool of_handler, of_thread;
static int handled;
static bool is_over;

static int
handled_so_far(void)
{
   return __atomic_load_n(&handled, __ATOMIC_RELAXED);
}

static bool
must_end(void)
{
   return __atomic_load_n(&is_over, __ATOMIC_RELAXED);
}

static void
use(struct slab_child_pool *of, void **objects, int count)
{
   int i;

   for (i = 0; i < count; i++)
      MUST(objects[i] = slab_alloc(of));
   for (i = 0; i < count; i++)
      slab_free(of, objects[i]);
}

static void
use_in_handler(int signal)
{
   static void *objects[handled_objects];

   (void)signal;
   use(&of_handler, objects, handled_objects);
   __atomic_add_fetch(&handled, 1, __ATOMIC_RELAXED);
}

/* Holds the pool's lock now and then, so that the handler has to wait for it. */
static void *
use_beside(void *arg)
{
   static void *objects[handled_objects];

   while (!must_end())
      use((struct slab_child_pool *)arg, objects, handled_objects);
   return NULL;
}

static void
hold_back(int how)
{
   sigset_t set;

   sigemptyset(&set);
   sigaddset(&set, SIGUSR1);
   MUST(pthread_sigmask(how, &set, NULL) == 0);
}

static void *
send_signals(void *arg)
{
   int before = handled_so_far();

   while (!must_end()) {
      pthread_kill(*(const pthread_t *)arg, SIGUSR1);
      while (!must_end() && handled_so_far() == before)
         usleep(50);
      before = handled_so_far();
   }
   return NULL;
}

static void
handler_uses_pools_body(void *arg)
{
   static void *objects[handled_objects];
   struct sigaction action;
   pthread_t sender, beside, self = pthread_self();

   MUST(setenv("SLAB_DEBUG", (const char *)arg, 1) == 0);
   slab_create_parent(&parent, size, 16);
   slab_create_child(&child, &parent);
   slab_create_child(&of_handler, &parent);
   slab_create_child(&of_thread, &parent);
   memset(&action, 0, sizeof(action));
   action.sa_handler = use_in_handler;
   sigemptyset(&action.sa_mask);
   MUST(sigaction(SIGUSR1, &action, NULL) == 0);
   hold_back(SIG_BLOCK);
   MUST(pthread_create(&beside, NULL, use_beside, &of_thread) == 0);
   MUST(pthread_create(&sender, NULL, send_signals, &self) == 0);
   while (handled_so_far() < ITERATIONS(30, 5)) {
      use(&child, objects, handled_objects);
      hold_back(SIG_UNBLOCK);
      hold_back(SIG_BLOCK);
   }
   __atomic_store_n(&is_over, true, __ATOMIC_RELAXED);
   MUST(pthread_join(sender, NULL) == 0 && pthread_join(beside, NULL) == 0);
   MUST(slab_validate(&parent) == 0);
   slab_destroy_child(&child);
   slab_destroy_child(&of_handler);
   slab_destroy_child(&of_thread);
   slab_destroy_parent(&parent);
}

static void
a_handler_uses_pools_where_it_interrupts_none_of_their_functions(void **state)
{
   static const char *const modes[] = {"", "checks,leaks", "guard"};
   struct child_process process;
   size_t i;

   (void)state;
   for (i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
      assert_true(child_run(&process, handler_uses_pools_body, (void *)modes[i]));
      assert_string_equal(process.said, "");
   }
}

int
main(void)
{
   const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_note_fits_the_smallest_stack_for_signals),
      cmocka_unit_test(the_programs_handler_is_called_as_if_it_had_been_installed_itself),
      cmocka_unit_test(a_handler_that_is_to_be_called_once_is),
      cmocka_unit_test(a_handler_may_leave_by_longjmp),
      cmocka_unit_test(a_handler_uses_pools_where_it_interrupts_none_of_their_functions),
   };

   return cmocka_run_group_tests(tests, NULL, NULL);
}
