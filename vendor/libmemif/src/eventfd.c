/* The eventfds of rings. The peer has the same open file and may make it blocking, or fill it, at
 * any time, so no call may rely on O_NONBLOCK, nor on what poll says. */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/aio_abi.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base.h"

enum { AT_A_TIME = 64 };

/* The process's, for good: to destroy a context takes some 40 ms. 0: not there yet. */
static _Atomic aio_context_t aio;
static int file = -1; /* an empty one of ours: to read it waits for nobody */
static bool can_clear;

#ifdef MEMIF_EMULATED
/* Under an emulator without asynchronous I/O, to test the rest there. A peer can stop this. */
bool
eventfd_signal (int efd)
{
  uint64_t one = 1;
  return is_eventfd (efd) && (write (efd, &one, sizeof one) >= 0 || errno == EAGAIN || errno == EINTR);
}

uint64_t
eventfd_clear (int efd)
{
  uint64_t count;
  return read (efd, &count, sizeof count) == (ssize_t) sizeof count ? count : 0;
}
#else
static void
reap (aio_context_t ctx)
{
  struct io_event done[AT_A_TIME];
  syscall (SYS_io_getevents, ctx, 0L, (long) AT_A_TIME, done, NULL);
}

/* A read of no bytes, at whose end the kernel itself raises the eventfd: that
 * never waits, however full it is. */
static bool
signal_by_aio (aio_context_t ctx, int efd)
{
  struct iocb nothing = { .aio_lio_opcode = IOCB_CMD_PREAD,
			  .aio_fildes = (uint32_t) file,
			  .aio_flags = IOCB_FLAG_RESFD,
			  .aio_resfd = (uint32_t) efd };
  struct iocb *list = &nothing;
  for (int tries = 0; tries < AT_A_TIME; tries++ /* others use it too */)
    {
      if (syscall (SYS_io_submit, ctx, 1L, &list) == 1)
	return true;
      if (errno != EAGAIN)
	return false;
      reap (ctx);
    }
  return false;
}

bool
eventfd_signal (int efd)
{
  /* Relaxed: a number for the kernel, no memory of ours is behind it. */
  return signal_by_aio (atomic_load_explicit (&aio, memory_order_relaxed), efd);
}

uint64_t
eventfd_clear (int efd)
{
  uint64_t count = 0;
  struct iovec iov = { .iov_base = &count, .iov_len = sizeof count };
  /* preadv2 with offset -1, in two halves; musl has no function for it before 1.2.5. */
  long n = syscall (SYS_preadv2, efd, &iov, 1L, -1L, -1L, (long) RWF_NOWAIT);
  return n == (long) sizeof count ? count : 0;
}
#endif

/* Tried, as a filter may allow one call and not the next. */
static const char *
try_out (int efd)
{
#ifndef MEMIF_EMULATED
  aio_context_t made = 0;
  if (syscall (SYS_io_setup, AT_A_TIME, &made) != 0)
    return errno == EAGAIN ? "io_setup fails, as fs.aio-max-nr is reached"
			   : "io_setup, of asynchronous I/O, is not to be had";
  if (!signal_by_aio (made, efd))
    {
      syscall (SYS_io_destroy, made);
      return "io_submit, of asynchronous I/O, does not signal an eventfd";
    }
  reap (made);
  atomic_store (&aio, made);
#else
  eventfd_signal (efd);
  atomic_store (&aio, 1);
#endif
  can_clear = eventfd_clear (efd) == 1;
  return NULL;
}

const char *
eventfds_open (void)
{
  static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
  const char *lacks = NULL;
  pthread_mutex_lock (&lock);
  if (!atomic_load (&aio))
    {
      int efd = eventfd (0, EFD_NONBLOCK | EFD_CLOEXEC);
      file = efd < 0 ? -1 : memfd_create ("memif nothing", MFD_CLOEXEC);
      lacks = file < 0 ? "there are no descriptors for an eventfd and a memfd" : try_out (efd);
      if (lacks && file >= 0)
	close (file);
      if (efd >= 0)
	close (efd);
    }
  pthread_mutex_unlock (&lock);
  return lacks;
}

bool
eventfds_can_be_cleared (void)
{
  return can_clear;
}

bool
is_eventfd (int fd)
{
  char link[64], target[64];
  snprintf (link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t n = readlink (link, target, sizeof target - 1);
  target[n < 0 ? 0 : n] = 0;
  return strcmp (target, "anon_inode:[eventfd]") == 0;
}
