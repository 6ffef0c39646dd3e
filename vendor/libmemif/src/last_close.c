/* What the last close of a descriptor may wait for: the daemon of a file, what a socket has still
 * to send, and all of that in the queues of sockets. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base.h"

#pragma GCC diagnostic ignored "-Wsign-conversion" /* in musl's CMSG_NXTHDR */

/* Sockets in the queues of sockets, as deep as the kernel allows; what a queue holds, and a
 * message. */
enum { DEEPEST = 5, MOST_MESSAGES = 4096, MAX_ATTACHED = 253 };

static _Atomic unsigned borrowed; /* numbers in use for what is in the queues of others */

/* Nothing more can come, and a message of any kind, as an empty one, would have credentials. */
static bool
is_drained (int fd)
{
  const int on = 1;
  struct msghdr mh = { 0 };
  if (setsockopt (fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof on) < 0)
    return false;
  /* The first call may tell of the connection's end. */
  for (int i = 0; i < 2; i++)
    if (recvmsg (fd, &mh, MSG_PEEK | MSG_DONTWAIT) == 0)
      return mh.msg_flags == 0;
  return false;
}

/* Whether to close it waits for nobody. None of this asks a file system. */
bool
ends_at_once (int fd, foreign_kind_t kind)
{
  return kind == FOREIGN_CHECKED
	 || (kind == FOREIGN_CHANNEL ? is_drained (fd) : fcntl (fd, F_GET_SEALS) >= 0 || is_eventfd (fd));
}

/* Numbers for what is in the queues of sockets, as many as there are: a part of all. */
static unsigned
borrow (void)
{
  static const unsigned part = 16;
  struct rlimit limit = { 0 };
  getrlimit (RLIMIT_NOFILE, &limit);
  const unsigned all = (unsigned) (limit.rlim_cur / part < 4096 ? limit.rlim_cur / part : 4096);
  unsigned used = atomic_load (&borrowed), some;
  do
    some = used >= all ? 0 : all - used < MAX_ATTACHED ? all - used : MAX_ATTACHED;
  while (!atomic_compare_exchange_weak (&borrowed, &used, used + some));
  return some;
}

static void end (int fd, int depth);

/* Whether there was a message in the socket's queue. What does not fit closes the kernel, here. */
static bool
end_message (int fd, int type, int depth)
{
  char bytes[4096];
  int inner[MAX_ATTACHED];
  union
  {
    struct cmsghdr align;
    char bytes[CMSG_SPACE (sizeof (struct ucred)) + CMSG_SPACE (sizeof inner)];
  } control;
  struct iovec iov = { .iov_base = bytes, .iov_len = sizeof bytes };
  struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control };
  const unsigned room = borrow ();
  mh.msg_controllen = (socklen_t) (CMSG_SPACE (sizeof (struct ucred)) + CMSG_LEN (room * sizeof *inner));
  ssize_t n = room ? recvmsg (fd, &mh, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) : -1;
  if (n < 0 && room && errno != EAGAIN) /* what happened to the connection is told once, before its queue */
    n = recvmsg (fd, &mh, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  for (struct cmsghdr *c = n < 0 ? NULL : CMSG_FIRSTHDR (&mh); c; c = CMSG_NXTHDR (&mh, c))
    {
      const bool fds = c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS;
      size_t count = fds ? (c->cmsg_len - CMSG_LEN (0)) / sizeof *inner : 0;
      memcpy (inner, CMSG_DATA (c), count * sizeof *inner);
      while (count)
	end (inner[--count], depth + 1);
    }
  atomic_fetch_sub (&borrowed, room);
  /* At the end of a connection nothing is told but the flag of this call, which the kernel repeats;
   * of any message the credentials are. A stream has no empty messages. */
  return n > 0
	 || (n == 0 && type != SOCK_STREAM && (mh.msg_controllen || (mh.msg_flags & ~MSG_CMSG_CLOEXEC)));
}

/* Takes most waits away before the close: sockets linger no more, nor do those in their queues.
 * Who shares them may undo that, and then makes one of these threads wait for as long as he is
 * there. */
static void
end (int fd, int depth)
{
  const struct linger off = { 0 };
  const int on = 1;
  int family, type;
  socklen_t len = sizeof family;
  setsockopt (fd, SOL_SOCKET, SO_LINGER, &off, sizeof off);
  if (depth < DEEPEST && getsockopt (fd, SOL_SOCKET, SO_DOMAIN, &family, &len) == 0 && family == AF_UNIX
      && getsockopt (fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0
      && setsockopt (fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof on) == 0)
    for (int i = 0; i < MOST_MESSAGES && end_message (fd, type, depth); i++)
      ;
  close (fd);
}

void
end_slowly (int fd)
{
  end (fd, 0);
}
