/* The eventfds of rings. The peer has the same open file and may make it
 * blocking at any time, so neither call may rely on O_NONBLOCK. */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/aio_abi.h>
#include <poll.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base.h"

/* The process's, for good: to destroy one takes some 40 ms. 0: not to be had. */
static _Atomic aio_context_t aio;

enum { AT_A_TIME = 64 };

void
eventfds_open (void)
{
  aio_context_t made = 0;
  if (syscall (SYS_io_setup, AT_A_TIME, &made) == 0)
    atomic_store (&aio, made); /* before any other thread has a queue, which orders it */
}

uint64_t
eventfd_clear (int efd)
{
  uint64_t count = 0;
  struct iovec iov = { .iov_base = &count, .iov_len = sizeof count };
  ssize_t n = preadv2 (efd, &iov, 1, -1, RWF_NOWAIT);
  if (n < 0 && (errno == EOPNOTSUPP || errno == ENOSYS || errno == EPERM)) /* seccomp says EPERM */
    {
      struct pollfd p = { .fd = efd, .events = POLLIN };
      n = poll (&p, 1, 0) == 1 ? read (efd, &count, sizeof count) : -1;
    }
  return n == (ssize_t) sizeof count ? count : 0;
}

static void
reap (aio_context_t ctx)
{
  struct io_event done[AT_A_TIME];
  syscall (SYS_io_getevents, ctx, 0L, (long) AT_A_TIME, done, NULL);
}

/* A read of no bytes, at whose end the kernel itself raises the eventfd: that
 * never waits, however full it is. */
static int
signal_by_aio (int efd, int file)
{
  /* Relaxed: a number for the kernel, no memory of ours is behind it. */
  aio_context_t ctx = atomic_load_explicit (&aio, memory_order_relaxed);
  struct iocb nothing = { .aio_lio_opcode = IOCB_CMD_PREAD,
			  .aio_fildes = (uint32_t) file,
			  .aio_flags = IOCB_FLAG_RESFD,
			  .aio_resfd = (uint32_t) efd };
  struct iocb *list = &nothing;
  for (int tries = 0; ctx && tries < AT_A_TIME; tries++ /* others use it too */)
    {
      if (syscall (SYS_io_submit, ctx, 1L, &list) == 1)
	return 0;
      if (errno != EAGAIN)
	break;
      reap (ctx);
    }
  return -1;
}

bool
eventfd_signal (int efd, int file)
{
  if (signal_by_aio (efd, file) == 0)
    return true;
  /* No asynchronous I/O here. A peer that fills the eventfd between these two
   * calls blocks the write until queue_lock reads it. */
  uint64_t one = 1;
  struct pollfd p = { .fd = efd, .events = POLLOUT };
  if (poll (&p, 1, 0) != 1 || !(p.revents & POLLOUT))
    return !(p.revents & POLLNVAL); /* full is signalled already */
  return write (efd, &one, sizeof one) >= 0 || errno == EAGAIN || errno == EINTR;
}

bool
is_eventfd (int fd)
{
  char link[64], target[64];
  snprintf (link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t n = readlink (link, target, sizeof target - 1);
  if (n < 0)
    {
      /* No /proc: at least none of the kinds that have a type. */
      struct stat st;
      return fstat (fd, &st) == 0 && (st.st_mode & S_IFMT) == 0;
    }
  target[n] = 0;
  return strcmp (target, "anon_inode:[eventfd]") == 0;
}
