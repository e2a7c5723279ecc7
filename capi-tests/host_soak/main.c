/* SPDX-License-Identifier: MIT */
/*
 * Everything at once that a program may do around the library: threads allocate and free while signals arrive, whose
 * handlers use pools or fork; threads are cancelled; the process forks; drivers with a copy of the library each are
 * loaded and unloaded, and report misuse; stderr is a pipe that is read slowly, fills, and breaks.
 *
 *    host_soak [--seconds N] [--seed N] [--patience N] [--plant hang|crash|leak|report]
 *
 * The process that is started watches another one, in which all of it is done. A thread that makes no step for 60 seconds
 * hangs. The soak ends when the time is over and each kind of thing has been done, and nothing is asked of how fast. In the
 * end every pool is destroyed, and nothing may be held or mapped that was not after a first, short round. --plant does
 * on purpose what is to be found.
 */
#include "program.h"

#include "must.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *const kind_names[soak_kinds] = {
   "allocations",
   "frees",
   "signals whose handler used a pool",
   "cancellations",
   "forks",
   "forks in signal handlers",
   "of them gone on",
   "forks in report handlers",
   "loads and unloads",
   "pipes filled",
   "pipes broken",
   NULL,
   "reports made",
   "written",
   "of broken pipes",
   "to handlers",
   "by forked processes",
   "written of those",
   "unexpected reports",
   NULL,
};

static const char *const doing_names[soak_doings] = {
   "nothing",
   "slab_alloc()",
   "slab_free()",
   "creating or destroying a child",
   "slab_trim_heap() or slab_trim_parent()",
   "statistics, slab_validate() or slab_print_stats_fd()",
   "fork()",
   "waiting for a forked process",
   "a misuse, and its report",
   "dlopen()",
   "dlclose()",
   "waiting for a thread",
   "letting the pipe fill, and others go on",
   "reading the pipe",
};

static const char *const place_names[soak_places] = {
   "uses pools, 1",
   "uses pools, 2",
   "uses pools, 3",
   "uses a pool of its own",
   "forks",
   "cancels",
   "is cancelled",
   "loads drivers",
   "uses a pool in a driver",
   "reports in a driver",
   "reports in a driver until it is cancelled",
   "reads stderr",
   "sends signals",
   "does what is planted",
   "waits for the end",
};

static void
print_of_task(pid_t process, pid_t thread, const char *what)
{
   char path[80], content[200];
   ssize_t got;
   int file;

   snprintf(path, sizeof(path), "/proc/%d/task/%d/%s", (int)process, (int)thread, what);
   file = open(path, O_RDONLY | O_CLOEXEC);
   got = file < 0 ? -1 : read(file, content, sizeof(content) - 1);
   if (file >= 0)
      close(file);
   content[got < 0 ? 0 : got] = 0;
   content[strcspn(content, "\n")] = 0;
   fprintf(stderr, ", %s %s", what, content);
}

static void
print_threads(pid_t process)
{
   int i;

   for (i = 0; i < soak_places; i++) {
      const struct soak_thread *thread = &soak->threads[i];
      if (!thread->exists)
         continue;
      fprintf(stderr, "thread %d, which %s: in %s, %llu steps", (int)thread->id, place_names[i],
              doing_names[thread->doing], (unsigned long long)thread->steps);
      print_of_task(process, thread->id, "wchan");
      print_of_task(process, thread->id, "syscall");
      fprintf(stderr, "\n");
   }
}

enum { looks_in_a_second = 10 };

/* Waits for the end of the process. Returns whether it hung, and was ended. */
static bool
watch(pid_t process, unsigned patience, int *status)
{
   uint64_t steps[soak_places] = {0};
   unsigned same[soak_places] = {0};
   pid_t ended;
   int i;

   while ((ended = waitpid(process, status, WNOHANG)) == 0) {
      usleep(1000000 / looks_in_a_second);
      for (i = 0; i < soak_places; i++) {
         const struct soak_thread *thread = &soak->threads[i];
         uint64_t now_steps = __atomic_load_n(&thread->steps, __ATOMIC_RELAXED);

         same[i] = thread->exists && now_steps == steps[i] ? same[i] + 1 : 0;
         steps[i] = now_steps;
         if (same[i] > patience * looks_in_a_second) {
            fprintf(stderr, "hangs, in thread %d:\n", (int)thread->id);
            print_threads(process);
            kill(process, SIGABRT);
            waitpid(process, status, 0);
            kill(-process, SIGKILL);
            return true;
         }
      }
   }
   MUST(ended == process);
   return false;
}

static uint64_t
number(const char *text)
{
   char *end;
   unsigned long long value = strtoull(text, &end, 10);

   MUST(*text && !*end);
   return value;
}

static int
usage(void)
{
   fprintf(stderr, "usage: host_soak [--seconds N] [--seed N] [--patience N] [--plant hang|crash|leak|report]\n");
   return 2;
}

int
main(int argc, char **argv)
{
   static const char *const plants[] = {"nothing", "hang", "crash", "leak", "report"};
   uint64_t seconds = 5, seed = 1, patience = 60, lost, left;
   bool hung, crashed, good;
   int status, i, j;
   pid_t process;

   for (i = 1; i + 1 < argc; i += 2) {
      if (strcmp(argv[i], "--seconds") == 0)
         seconds = number(argv[i + 1]);
      else if (strcmp(argv[i], "--seed") == 0)
         seed = number(argv[i + 1]);
      else if (strcmp(argv[i], "--patience") == 0)
         patience = number(argv[i + 1]);
      else if (strcmp(argv[i], "--plant") == 0) {
         for (j = 0; j < 5 && strcmp(argv[i + 1], plants[j]) != 0; j++)
            ;
         if (j == 5)
            return usage();
         plant = (enum plant)j;
      } else
         return usage();
   }
   if (i != argc)
      return usage();

   soak = (struct soak *)mmap(NULL, sizeof(*soak), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
   MUST(soak != MAP_FAILED);
   process = fork();
   MUST(process >= 0);
   if (process == 0) {
      MUST(prctl(PR_SET_PDEATHSIG, SIGKILL) == 0);
      MUST(setpgid(0, 0) == 0);
      return be_watched((time_t)seconds, seed);
   }
   hung = watch(process, (unsigned)patience, &status);
   crashed = !hung && status != 0;
   if (crashed)
      fprintf(stderr, WIFSIGNALED(status) ? "ended by signal %d\n" : "ended with status %d\n",
              WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
   if (crashed)
      print_threads(process);
   lost = soak_counted(soak, soak_reports_made) - soak_counted(soak, soak_reports_read);
   left = soak_counted(soak, soak_bytes_left);
   for (i = 0; i < soak_kinds; i++) {
      if (kind_names[i])
         printf("%s%s %llu", i ? ", " : "", kind_names[i], (unsigned long long)soak_counted(soak, (enum soak_kind)i));
   }
   printf("; lost %llu: seed %llu, %d hangs, %d crashes, %llu objects and %llu bytes left\n", (unsigned long long)lost,
          (unsigned long long)seed, hung, crashed,
          (unsigned long long)(soak_counted(soak, soak_allocations) - soak_counted(soak, soak_frees)),
          (unsigned long long)left);
   good = !hung && !crashed && left == 0 && soak_counted(soak, soak_allocations) == soak_counted(soak, soak_frees) &&
          soak_counted(soak, soak_reports_read) <= soak_counted(soak, soak_reports_begun) &&
          lost <= soak_counted(soak, soak_reports_excused) && soak_counted(soak, soak_unexpected_reports) == 0;
   return good ? 0 : 1;
}
