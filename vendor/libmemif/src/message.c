/* One message of the control channel, in or out, with its descriptor. */
#define _GNU_SOURCE
#include <errno.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "control.h"

void
text_from_wire (char *to, const uint8_t *from, size_t size)
{
  size_t i;
  for (i = 0; i < size && from[i]; i++)
    to[i] = from[i] >= 0x20 && from[i] < 0x7f ? (char) from[i] : '?';
  to[i] = 0;
}

void
text_to_wire (uint8_t *field, size_t size, const void *text)
{
  size_t len = strnlen (text, size - 1);
  memset (field, 0, size);
  memcpy (field, text, len);
}

int
message_send (int fd, const message_t *m, int attached)
{
  struct iovec iov = { .iov_base = (void *) m, .iov_len = sizeof *m };
  union
  {
    struct cmsghdr align;
    char bytes[CMSG_SPACE (sizeof (int))];
  } control;
  struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };

  memset (&control, 0, sizeof control);
  if (attached >= 0)
    {
      mh.msg_control = &control;
      mh.msg_controllen = sizeof control;
      struct cmsghdr *c = CMSG_FIRSTHDR (&mh);
      c->cmsg_level = SOL_SOCKET;
      c->cmsg_type = SCM_RIGHTS;
      c->cmsg_len = CMSG_LEN (sizeof (int));
      memcpy (CMSG_DATA (c), &attached, sizeof attached);
    }
  ssize_t n;
  do
    n = sendmsg (fd, &mh, MSG_NOSIGNAL | MSG_DONTWAIT);
  while (n < 0 && errno == EINTR);
  return n == (ssize_t) sizeof *m ? MEMIF_ERR_SUCCESS : error_of_errno (errno);
}

/* What a message carries at most (SCM_MAX_FD). Where there is less room the kernel closes the
 * rest in our thread, which waits if that waits. */
enum { MAX_ATTACHED = 253 };

int
message_receive (int fd, message_t *m, int *attached, const char **why)
{
  /* A byte more than a message has, to see that one is too long. */
  uint8_t bytes[MESSAGE_SIZE + 1];
  struct iovec iov = { .iov_base = bytes, .iov_len = sizeof bytes };
  union
  {
    struct cmsghdr align;
    char bytes[CMSG_SPACE (MAX_ATTACHED * sizeof (int))];
  } control;
  struct msghdr mh = { .msg_iov = &iov,
		       .msg_iovlen = 1,
		       .msg_control = &control,
		       .msg_controllen = sizeof control };
  ssize_t n;

  *attached = -1;
  bool reset = false;
  do
    {
      n = recvmsg (fd, &mh, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
      /* The peer closed with messages of ours unread; its last ones may follow. */
      if (n < 0 && errno == ECONNRESET && !reset)
	{
	  reset = true;
	  errno = EINTR;
	}
    }
  while (n < 0 && errno == EINTR);
  if (n < 0 && reset)
    {
      *why = "the peer closed its control socket";
      return -MEMIF_ERR_DISCONNECTED;
    }
  if (n < 0)
    {
      if (errno == EAGAIN || errno == EWOULDBLOCK)
	return 0;
      *why = "the control socket failed";
      return -error_of_errno (errno);
    }

  int extra[MAX_ATTACHED];
  unsigned fds = 0;
  for (struct cmsghdr *c = CMSG_FIRSTHDR (&mh); c; c = CMSG_NXTHDR (&mh, c))
    {
      if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
	continue;
      size_t count = (c->cmsg_len - CMSG_LEN (0)) / sizeof (int);
      for (size_t i = 0; i < count && fds <= MAX_ATTACHED; i++, fds++)
	memcpy (fds == 0 ? attached : &extra[fds - 1], CMSG_DATA (c) + i * sizeof (int), sizeof (int));
    }
  if (fds > 1)
    foreign_close_all (extra, fds - 1);
  if (n == 0)
    *why = "the peer closed its control socket";
  else if (fds <= 1 && (mh.msg_flags & MSG_CTRUNC))
    *why = "a message's descriptor could not be taken: too many open files";
  else if (fds > 1)
    *why = "a message came with more than one descriptor";
  else if (n != MESSAGE_SIZE || (mh.msg_flags & MSG_TRUNC))
    *why = "a message has a size other than 128 bytes";
  else
    {
      memcpy (m, bytes, sizeof *m);
      return 1;
    }
  if (*attached >= 0)
    foreign_close (*attached);
  *attached = -1;
  return n == 0 ? -MEMIF_ERR_DISCONNECTED : -MEMIF_ERR_MFMSG;
}
