#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "raw.h"

socklen_t
address_of (const char *path, struct sockaddr_un *at)
{
  size_t len = strlen (path);
  memset (at, 0, sizeof *at);
  at->sun_family = AF_UNIX;
  memcpy (at->sun_path + 1, path + 1, len - 1);
  return (socklen_t) (offsetof (struct sockaddr_un, sun_path) + len);
}

int
connect_to (const char *path)
{
  struct sockaddr_un at;
  socklen_t len = address_of (path, &at);
  int wire = socket (AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  CHECK (wire >= 0);
  if (connect (wire, (struct sockaddr *) &at, len) == 0)
    return wire;
  close (wire);
  return -1;
}

bool
send_with (int wire, const uint8_t *bytes, size_t len, const int *fds, size_t count)
{
  union
  {
    char bytes[CMSG_SPACE (253 * sizeof (int))];
    struct cmsghdr align;
  } control;
  memset (&control, 0, sizeof control);
  struct iovec iov = { .iov_base = (void *) bytes, .iov_len = len };
  struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };
  if (count)
    {
      mh.msg_control = &control;
      mh.msg_controllen = (socklen_t) CMSG_SPACE (count * sizeof *fds);
      struct cmsghdr *c = CMSG_FIRSTHDR (&mh);
      c->cmsg_level = SOL_SOCKET;
      c->cmsg_type = SCM_RIGHTS;
      c->cmsg_len = (socklen_t) CMSG_LEN (count * sizeof *fds);
      memcpy (CMSG_DATA (c), fds, count * sizeof *fds);
    }
  return sendmsg (wire, &mh, MSG_NOSIGNAL) == (ssize_t) len;
}

void
wait_for_the_end (int wire)
{
  struct pollfd p = { .fd = wire };
  while (poll (&p, 1, LONG_MS) == 1 && !(p.revents & POLLHUP))
    ;
  close (wire);
}

attacker_t
attacker_begin (void (*attack) (const char *path, int number), const char *path, int number)
{
  int ends[2];
  fflush (NULL);
  CHECK (pipe2 (ends, O_CLOEXEC) == 0);
  pid_t parent = getpid (), pid = fork ();
  CHECK (pid >= 0);
  if (pid == 0)
    {
      prctl (PR_SET_PDEATHSIG, SIGKILL);
      if (getppid () != parent)
	_exit (1);
      for (int fd = 3; fd < 1000; fd++)
	if (fd != ends[1])
	  close (fd); /* the victim's are not ours */
      attack (path, number);
      CHECK (write (ends[1], "", 1) == 1);
      for (;;)
	pause ();
    }
  close (ends[1]);
  return (attacker_t){ .pid = pid, .ready = ends[0] };
}

void
attacker_end (attacker_t *a)
{
  kill (a->pid, SIGKILL);
  CHECK (waitpid (a->pid, NULL, 0) == a->pid);
  close (a->ready);
}

bool
attacker_ready (const attacker_t *a)
{
  struct pollfd p = { .fd = a->ready, .events = POLLIN };
  if (poll (&p, 1, 0) != 1)
    return false;
  CHECK (p.revents & POLLIN); /* or it has failed */
  return true;
}

void
attacker_wait (const attacker_t *a)
{
  struct pollfd p = { .fd = a->ready, .events = POLLIN };
  EQUAL (poll (&p, 1, LONG_MS), 1);
  CHECK (p.revents & POLLIN); /* or it has failed */
}

uint64_t
longest_turn (side_t *victim, const attacker_t *a)
{
  uint64_t longest = 0, end = now_ms () + LONG_MS;
  for (int more = 20; more > 0; more -= attacker_ready (a))
    {
      uint64_t start = now_ms ();
      CHECK (start < end);
      OK (memif_poll_event (victim->sock, 1));
      uint64_t took = now_ms () - start;
      longest = took > longest ? took : longest;
    }
  return longest;
}
