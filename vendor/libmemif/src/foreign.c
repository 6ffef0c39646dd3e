/* Closing what a peer sent, which may be of any kind. The last close of some
 * waits: for the daemon of a file system in user space, or for what a socket
 * with SO_LINGER still has to send. The control thread must not. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base.h"

/* Threads that wait in close, and descriptors that wait for a thread, at most.
 * What is beyond stays open: then the process has reached its limit anyway. */
enum { MAX_THREADS = 16, MAX_WAITING = 1024 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int waiting[MAX_WAITING];
static unsigned num_waiting, num_threads;

static void *
close_waiting (void *unused)
{
  pthread_mutex_lock (&lock);
  while (num_waiting)
    {
      int fd = waiting[--num_waiting];
      pthread_mutex_unlock (&lock);
      close (fd);
      pthread_mutex_lock (&lock);
    }
  num_threads--;
  pthread_mutex_unlock (&lock);
  return unused;
}

static bool
start_thread (pthread_t *thread)
{
  sigset_t all, before;
  sigfillset (&all); /* signals are for the program's threads */
  pthread_sigmask (SIG_SETMASK, &all, &before);
  int err = pthread_create (thread, NULL, close_waiting, NULL);
  pthread_sigmask (SIG_SETMASK, &before, NULL);
  return err == 0;
}

static void
close_elsewhere (const int *fds, unsigned count)
{
  pthread_t thread;
  bool started = false;
  pthread_mutex_lock (&lock);
  for (unsigned i = 0; i < count && num_waiting < MAX_WAITING; i++)
    waiting[num_waiting++] = fds[i];
  if (num_threads < MAX_THREADS && (started = start_thread (&thread)))
    num_threads++;
  pthread_mutex_unlock (&lock);
  if (!started)
    return;
  /* Nearly always it is done at once, and then nothing of it is left. */
  for (int i = 0; i < 100; i++)
    {
      if (pthread_tryjoin_np (thread, NULL) == 0)
	return;
      nanosleep (&(struct timespec){ .tv_nsec = 100000 }, NULL);
    }
  pthread_detach (thread);
}

void
foreign_close_all (int *fds, unsigned count)
{
  unsigned others = 0;
  for (unsigned i = 0; i < count; i++)
    /* Memory, pipes and eventfds wait for nobody. A local socket may have anything in
     * its queue. None of these asks a file system. */
    if (fcntl (fds[i], F_GET_SEALS) >= 0 || fcntl (fds[i], F_GETPIPE_SZ) >= 0 || is_eventfd (fds[i]))
      close (fds[i]);
    else
      fds[others++] = fds[i];
  if (others)
    close_elsewhere (fds, others);
}

void
foreign_close (int fd)
{
  foreign_close_all (&fd, 1);
}

void
foreign_hang_up (int fd)
{
  /* Nothing more comes; what is unread may have descriptors. */
  char byte;
  shutdown (fd, SHUT_RD);
  if (recv (fd, &byte, sizeof byte, MSG_PEEK | MSG_DONTWAIT) > 0)
    close_elsewhere (&fd, 1);
  else
    close (fd);
}
