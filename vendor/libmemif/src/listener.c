/* The listening side of a control socket. */
#define _GNU_SOURCE
#include <errno.h>
#include <sys/socket.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "control.h"

enum { BACKLOG = 128 };

socklen_t
socket_address (const char *path, void *sockaddr_un)
{
  struct sockaddr_un *sun = sockaddr_un;
  size_t len = strlen (path);

  memset (sun, 0, sizeof *sun);
  sun->sun_family = AF_UNIX;
  if (len >= sizeof sun->sun_path)
    len = sizeof sun->sun_path - 1;
  memcpy (sun->sun_path, path, len);
  if (path[0] == '@')
    {
      sun->sun_path[0] = 0; /* abstract: the length covers the name only */
      return (socklen_t) (offsetof (struct sockaddr_un, sun_path) + len);
    }
  return (socklen_t) (offsetof (struct sockaddr_un, sun_path) + len + 1);
}

enum { PAUSE_MS = 100 };

static void on_listener (event_t *e);

void
listener_resume (sock_t *s)
{
  int fd = s->paused_listener;
  if (fd < 0 || now_ns () < s->resume_at)
    return;
  s->listener = event_add (s, fd, on_listener, s);
  if (s->listener)
    s->paused_listener = -1;
  else
    s->resume_at = now_ns () + PAUSE_MS * 1000000ull; /* no memory: later */
}

/* Half of the backlog at a time: of fewer, a process that connects without end takes all places again
 * before others do. Not all of it, as everybody else waits meanwhile. */
enum { AT_A_TIME = BACKLOG / 2 };

static void
on_listener (event_t *e)
{
  sock_t *s = e->sock;
  int fd = 0;
  for (int i = 0; i < AT_A_TIME && fd >= 0; i++)
    {
      fd = -1;
      if (!foreign_ready ())
	errno = ENOMEM;
      else if (foreign_full ())
	errno = EMFILE; /* soon, with what waits to be closed */
      else if ((fd = accept4 (e->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0)
	channel_accept (s, fd);
    }
  if (fd < 0 && errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
    {
      /* The peer stays in the queue, so trying at once would be a busy loop. */
      peer_logf (s, NULL, MEMIF_EXT_LOG_ERROR, "accepting a peer on %s failed, trying again in %d ms: %s (errno %d)",
	     s->path, PAUSE_MS, memif_strerror (error_of_errno (errno)), errno);
      s->paused_listener = e->fd;
      s->resume_at = now_ns () + PAUSE_MS * 1000000ull;
      event_remove (e);
      s->listener = NULL;
      timer_update (s);
    }
}

/* A connection that will be no channel. */
static void
hang_up (const sock_t *s, int fd)
{
  memif_ext_peer_t peer;
  char why[REASON_SIZE];
  access_check (s, fd, &peer, why, sizeof why);
  foreign_hang_up (fd, &peer);
}

/* The name is free when this returns. Closing a listener closes what nobody has accepted, and what
 * that was sent: so it is emptied first, which nothing can undo. */
static void
end_listener (sock_t *s, int fd)
{
  int peer = -1;
  if (s->spare >= 0)
    close (s->spare); /* the number is for who is accepted here */
  s->spare = -1;
  if (!s->adopted)
    {
      shutdown (fd, SHUT_RD);
      do
	{
	  peer = foreign_ready () ? accept4 (fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC) : -1;
	  if (peer >= 0)
	    hang_up (s, peer);
	}
      while (peer >= 0 || errno == EINTR || errno == ECONNABORTED);
      if (errno == EAGAIN || errno == EINVAL)
	{
	  close (fd);
	  return;
	}
    }
  /* Others may have it too, or there are no descriptors: it may have peers. */
  foreign_close (fd, FOREIGN_ANY, &(memif_ext_peer_t){ .pid = getpid (), .uid = getuid () });
}

/* Whether the path is a socket that nobody has bound any more.
 *
 * The kernel is asked, not the peer: some servers die of a connection that is closed at once. A
 * socket of another type can't be connected, and the kernel looks for the one that is bound to the
 * file before it says so. Other than the kernel's lists of sockets, this finds those of other
 * network namespaces too. */
static int
check_stale (sock_t *s, const struct sockaddr_un *sun, socklen_t len)
{
  struct stat st;
  if (lstat (s->path, &st) < 0)
    return errno == ENOENT ? MEMIF_ERR_SUCCESS
			   : fail (s, error_of_errno (errno), "can't look at %s (errno %d)",
				   s->path, errno);
  if (!S_ISSOCK (st.st_mode))
    return fail (s, MEMIF_ERR_FILE_NOT_SOCK, "%s is %s; it was not replaced", s->path,
		 S_ISDIR (st.st_mode) ? "a folder" : "a regular file");

  int fd = socket (AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0)
    return fail (s, error_of_errno (errno), "can't make a socket (errno %d)", errno);
  int why = connect (fd, (const struct sockaddr *) sun, len) < 0 ? errno : 0;
  close (fd);
  if (why == EPROTOTYPE)
    return fail (s, MEMIF_ERR_ALREADY, "%s is in use by another program", s->path);
  if (why == EACCES)
    return fail (s, MEMIF_ERR_ACCES, "%s is another user's, who may be listening on it: it is left alone",
		 s->path);
  if (why != ECONNREFUSED)
    return fail (s, why ? error_of_errno (why) : MEMIF_ERR_ALREADY,
		 "%s is in use by something other than memif (errno %d)", s->path, why);
  logf_ (s, MEMIF_EXT_LOG_INFO, "replacing the socket %s, on which nobody listens", s->path);
  if (unlink (s->path) < 0 && errno != ENOENT)
    return fail (s, error_of_errno (errno), "can't replace %s (errno %d)", s->path, errno);
  return MEMIF_ERR_SUCCESS;
}

/* Only the file we made: another master may have replaced it. */
static void
remove_own_file (sock_t *s)
{
  struct stat st;
  if (s->listener_ino && lstat (s->path, &st) == 0 && st.st_dev == s->listener_dev
      && st.st_ino == s->listener_ino)
    unlink (s->path);
  s->listener_ino = s->listener_dev = 0;
}

int
listener_open (sock_t *s)
{
  struct sockaddr_un sun;
  socklen_t len = socket_address (s->path, &sun);
  int err = MEMIF_ERR_SUCCESS;

  if (s->listener || s->paused_listener >= 0)
    return MEMIF_ERR_SUCCESS;
  int fd = socket (AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0)
    return fail (s, error_of_errno (errno), "can't make a socket (errno %d)", errno);
  /* Before it has a name: without a spare descriptor that could not be given back at once. */
  if ((s->spare = fcntl (fd, F_DUPFD_CLOEXEC, 0)) < 0)
    {
      err = fail (s, error_of_errno (errno), "no descriptor to end %s with (errno %d)", s->path, errno);
      close (fd);
      return err;
    }

  /* The file gets the permissions of its socket less the umask: never more than it is to have. */
  fchmod (fd, s->ext.file_mode);
  int bound = bind (fd, (struct sockaddr *) &sun, len);
  if (bound < 0 && errno == EADDRINUSE)
    {
      if (s->path[0] == '@')
	err = fail (s, MEMIF_ERR_ALREADY, "%s is in use by another program", s->path);
      else if (!(err = check_stale (s, &sun, len)))
	bound = bind (fd, (struct sockaddr *) &sun, len);
    }
  if (!err && bound < 0)
    err = fail (s, error_of_errno (errno), "can't listen on %s: %s (errno %d)", s->path,
		memif_strerror (error_of_errno (errno)), errno);
  /* Nobody can connect yet. */
  if (!err && s->path[0] != '@')
    err = access_set (s, &s->listener_dev, &s->listener_ino);
  if (!err && (listen (fd, BACKLOG) < 0 || !(s->listener = event_add (s, fd, on_listener, s))))
    {
      err = event_error ();
      fail (s, err, "can't listen on %s: %s", s->path, memif_strerror (err));
    }
  if (err)
    {
      end_listener (s, fd);
      remove_own_file (s);
    }
  return err;
}

int
listener_adopt (sock_t *s, int fd)
{
  int accepts = 0, flags = fcntl (fd, F_GETFL);
  socklen_t len = sizeof accepts;
  if (flags < 0 || getsockopt (fd, SOL_SOCKET, SO_ACCEPTCONN, &accepts, &len) < 0)
    return fail (s, MEMIF_ERR_BAD_FD, "descriptor %d is not a socket", fd);
  if (s->listener && s->listener->fd == fd)
    return MEMIF_ERR_SUCCESS;
  if (!accepts)
    return fail (s, MEMIF_ERR_INVAL_ARG, "descriptor %d does not listen", fd);
  if (fcntl (fd, F_SETFL, flags | O_NONBLOCK) < 0)
    return fail (s, error_of_errno (errno), "descriptor %d: errno %d", fd, errno);
  listener_close (s);
  s->adopted = true;
  s->listener = event_add (s, fd, on_listener, s);
  return s->listener ? MEMIF_ERR_SUCCESS : fail (s, event_error (), "can't watch descriptor %d", fd);
}

void
listener_close (sock_t *s)
{
  int fd = s->listener ? s->listener->fd : s->paused_listener;
  if (fd < 0)
    return;
  event_remove (s->listener);
  end_listener (s, fd);
  s->listener = NULL;
  s->paused_listener = -1;
  s->adopted = false;
  remove_own_file (s);
}
