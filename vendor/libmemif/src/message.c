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

/* Looks at the message, and takes it out of the queue only when it is as it should be: until then
 * all that it brought is in the queue too, so whatever the kernel finds no room for, it does not
 * close. A message that stays there goes with its connection. */
int
message_receive (int fd, const memif_ext_peer_t *from, message_t *m, int *attached, const char **why)
{
  /* A byte more than a message has, and a descriptor more, to see that there is too much. */
  uint8_t bytes[MESSAGE_SIZE + 1];
  int fds[2];
  struct iovec iov = { .iov_base = bytes, .iov_len = sizeof bytes };
  union
  {
    struct cmsghdr align;
    char bytes[CMSG_SPACE (sizeof fds)];
  } control;
  struct msghdr mh = { .msg_iov = &iov,
		       .msg_iovlen = 1,
		       .msg_control = &control,
		       .msg_controllen = sizeof control };
  ssize_t n;

  *attached = -1;
  *why = "no memory for a message's descriptor";
  if (!foreign_ready ())
    return -MEMIF_ERR_NOMEM;
  bool reset = false;
  do
    {
      n = recvmsg (fd, &mh, MSG_PEEK | MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
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

  unsigned count = 0;
  const struct cmsghdr *c = CMSG_FIRSTHDR (&mh);
  if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
    {
      count = (unsigned) ((c->cmsg_len - CMSG_LEN (0)) / sizeof *fds);
      memcpy (fds, CMSG_DATA (c), count * sizeof *fds);
    }
  const bool more = mh.msg_flags & MSG_CTRUNC;
  if (n == 0)
    *why = "the peer closed its control socket";
  else if (count == 0 && more)
    *why = "a message's descriptor could not be taken: too many open files";
  else if (count > 1 || more)
    *why = "a message came with more than one descriptor";
  else if (n != MESSAGE_SIZE || (mh.msg_flags & MSG_TRUNC))
    *why = "a message has a size other than 128 bytes";
  else if (recv (fd, NULL, 0, MSG_DONTWAIT) < 0)
    *why = "the control socket failed";
  else
    {
      if (count)
	*attached = fds[0];
      memcpy (m, bytes, sizeof *m);
      return 1;
    }
  while (count)
    foreign_close (fds[--count], FOREIGN_ANY, from);
  return n == 0 ? -MEMIF_ERR_DISCONNECTED : -MEMIF_ERR_MFMSG;
}
