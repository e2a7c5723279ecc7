/* SPDX-License-Identifier: MIT */
#include "child_process.h"

#include "iterations.h"
#include "must.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

/* Of a child that hangs; ctest ends the program after 600. */
static const unsigned watchdog_seconds = ITERATIONS(150, 550);

/* cmocka's handlers would jump back into the test runner and run the other cases twice. */
static void
forget_signal_handlers(void)
{
   static const int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGSYS};
   size_t i;

   for (i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
      signal(signals[i], SIG_DFL);
}

void
child_start(struct child_process *child, void (*body)(void *arg), void *arg)
{
   FILE *file = tmpfile();

   MUST(file);
   child->stderr_file = dup(fileno(file));
   MUST(child->stderr_file >= 0);
   fclose(file);

   fflush(stdout);
   fflush(stderr);
   child->pid = fork();
   MUST(child->pid >= 0);
   if (child->pid > 0)
      return;

   forget_signal_handlers();
   alarm(watchdog_seconds);
   MUST(dup2(child->stderr_file, STDERR_FILENO) == STDERR_FILENO);
   body(arg);
   fflush(stderr);
   _exit(0);
}

void
child_wait_quietly(struct child_process *child)
{
   struct iovec said;
   ssize_t length;
   pid_t ended;

   do {
      ended = waitpid(child->pid, &child->status, 0);
   } while (ended < 0 && errno == EINTR);
   MUST(ended == child->pid);

   /* Not by pread(), which is counted where calls of the system fail. */
   said.iov_base = child->said;
   said.iov_len = sizeof(child->said) - 1;
   length = preadv(child->stderr_file, &said, 1, 0);
   MUST(length >= 0);
   child->said[length] = 0;
   close(child->stderr_file);
}

bool
child_wait(struct child_process *child)
{
   child_wait_quietly(child);
   if (child->status == 0)
      return true;
   fprintf(stderr, "child process ended with status 0x%x and said:\n%s\n", (unsigned)child->status, child->said);
   return false;
}

bool
child_run(struct child_process *child, void (*body)(void *arg), void *arg)
{
   child_start(child, body, arg);
   return child_wait(child);
}
