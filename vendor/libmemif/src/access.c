/* Who may be a peer: the file of a listening socket, and the user at the other end. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control.h"

static int
set (const sock_t *s, int file, const char **what)
{
  const memif_ext_socket_args_t *ext = &s->ext;
  const uid_t uid = ext->set_file_uid ? ext->file_uid : (uid_t) -1;
  const gid_t gid = ext->set_file_gid ? ext->file_gid : (gid_t) -1;
  struct stat st;

  *what = "find again";
  if (fstat (file, &st) < 0)
    return -1;
  if (!S_ISSOCK (st.st_mode))
    {
      errno = EEXIST;
      return -1;
    }
  *what = "set the permissions of";
  if ((st.st_mode & 07777) != ext->file_mode)
    {
      /* What O_PATH opened can be changed by this name only. */
      char name[32];
      snprintf (name, sizeof name, "/proc/self/fd/%d", file);
      if (chmod (name, ext->file_mode) < 0)
	return -1;
    }
  *what = "set the owner of";
  return ext->set_file_uid || ext->set_file_gid ? fchownat (file, "", uid, gid, AT_EMPTY_PATH) : 0;
}

int
access_set (sock_t *s, uint64_t *dev, uint64_t *ino)
{
  struct stat st;
  const char *what = "find";
  int err = MEMIF_ERR_SUCCESS;

  /* By one descriptor: nothing else is changed when somebody puts a link in its place. */
  int file = open (s->path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
  if (file >= 0 && fstat (file, &st) == 0 && S_ISSOCK (st.st_mode))
    {
      *dev = st.st_dev;
      *ino = st.st_ino;
    }
  if (file < 0 || set (s, file, &what) < 0)
    err = fail (s, errno == EPERM ? MEMIF_ERR_ACCES : error_of_errno (errno),
		"can't %s the socket's file %s (errno %d)", what, s->path, errno);
  if (file >= 0)
    close (file);
  return err;
}

static bool
listed (const uint32_t *ids, unsigned count, uint32_t id)
{
  for (unsigned i = 0; i < count; i++)
    if (ids[i] == id)
      return true;
  return false;
}

int
access_check (const sock_t *s, int fd, memif_ext_peer_t *peer, char *why, size_t size)
{
  struct ucred cred = { .pid = 0, .uid = (uid_t) -1, .gid = (gid_t) -1 };
  socklen_t len = sizeof cred;

  int got = getsockopt (fd, SOL_SOCKET, SO_PEERCRED, &cred, &len);
  *peer = (memif_ext_peer_t){ .pid = cred.pid, .uid = cred.uid, .gid = cred.gid };
  if (!s->allowed)
    return MEMIF_ERR_SUCCESS;
  if (got == 0
      && (listed (s->ext.allowed_uids, s->ext.num_allowed_uids, cred.uid)
	  || listed (s->ext.allowed_gids, s->ext.num_allowed_gids, cred.gid)))
    return MEMIF_ERR_SUCCESS;
  text_f (why, size, "user %u, group %u may not be a peer here", (unsigned) cred.uid,
	  (unsigned) cred.gid);
  return MEMIF_ERR_ACCES;
}
