/* Error numbers and their texts. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>

#include "control.h"

static const char *const texts[] = {
  [MEMIF_ERR_SUCCESS] = "success",
  [MEMIF_ERR_SYSCALL] = "a system call failed",
  [MEMIF_ERR_CONNREFUSED] = "nobody listens on the socket",
  [MEMIF_ERR_ACCES] = "permission denied",
  [MEMIF_ERR_NO_FILE] = "no such file",
  [MEMIF_ERR_FILE_LIMIT] = "the system has too many open files",
  [MEMIF_ERR_PROC_FILE_LIMIT] = "the process has too many open files",
  [MEMIF_ERR_ALREADY] = "already in use, or going on",
  [MEMIF_ERR_AGAIN] = "not ready, try again",
  [MEMIF_ERR_BAD_FD] = "bad file descriptor",
  [MEMIF_ERR_NOMEM] = "out of memory",
  [MEMIF_ERR_INVAL_ARG] = "invalid argument",
  [MEMIF_ERR_NOCONN] = "no such interface",
  [MEMIF_ERR_CONN] = "the interface exists already",
  [MEMIF_ERR_CB_FDUPDATE] = "the callback for control descriptors failed",
  [MEMIF_ERR_FILE_NOT_SOCK] = "the file is not a socket",
  [MEMIF_ERR_NO_SHMFD] = "a region came without its descriptor",
  [MEMIF_ERR_COOKIE] = "a ring has a wrong cookie",
  [MEMIF_ERR_NOBUF_RING] = "the ring has too few free slots",
  [MEMIF_ERR_NOBUF] = "more packets are waiting than buffers were given",
  [MEMIF_ERR_NOBUF_DET] = "too little memory for the details",
  [MEMIF_ERR_INT_WRITE] = "the interrupt could not be written",
  [MEMIF_ERR_MFMSG] = "the peer broke the protocol",
  [MEMIF_ERR_QID] = "no such queue",
  [MEMIF_ERR_PROTO] = "incompatible protocol version",
  [MEMIF_ERR_ID] = "interface id in use, or unknown",
  [MEMIF_ERR_ACCSLAVE] = "not possible in this role",
  [MEMIF_ERR_ALRCONN] = "already connected",
  [MEMIF_ERR_MODE] = "mode mismatch",
  [MEMIF_ERR_SECRET] = "incorrect secret",
  [MEMIF_ERR_NOSECRET] = "secret required",
  [MEMIF_ERR_MAXREG] = "too many regions",
  [MEMIF_ERR_MAXRING] = "too many rings",
  [MEMIF_ERR_NO_INTFD] = "a ring came without its eventfd",
  [MEMIF_ERR_DISCONNECT] = "the peer disconnected",
  [MEMIF_ERR_DISCONNECTED] = "the link is down",
  [MEMIF_ERR_UNKNOWN_MSG] = "a message of an unknown type",
  [MEMIF_ERR_POLL_CANCEL] = "the poll was cancelled",
  [MEMIF_ERR_MAX_RING] = "the ring is too large: log2_ring_size may be 14 at most",
  [MEMIF_ERR_PRIVHDR] = "private headers are not supported",
};

char *
memif_strerror (int err_code)
{
  if (err_code < 0 || (size_t) err_code >= sizeof texts / sizeof *texts)
    return (char *) "unknown error number";
  return (char *) texts[err_code];
}

int
error_of_errno (int errnum)
{
  switch (errnum)
    {
    case EACCES: return MEMIF_ERR_ACCES;
    case ENFILE: return MEMIF_ERR_FILE_LIMIT;
    case EMFILE: return MEMIF_ERR_PROC_FILE_LIMIT;
    case ENOMEM: return MEMIF_ERR_NOMEM;
    case ECONNREFUSED: return MEMIF_ERR_CONNREFUSED;
    case EALREADY: return MEMIF_ERR_ALREADY;
    case EAGAIN: return MEMIF_ERR_AGAIN;
    case EBADF: return MEMIF_ERR_BAD_FD;
    case ENOENT: return MEMIF_ERR_NO_FILE;
    default: return MEMIF_ERR_SYSCALL;
    }
}

void
text_v (char *to, size_t size, const char *format, va_list args)
{
  if (vsnprintf (to, size, format, args) < 0)
    to[0] = 0;
}

void
text_f (char *to, size_t size, const char *format, ...)
{
  va_list args;
  va_start (args, format);
  text_v (to, size, format, args);
  va_end (args);
}

int
fail (sock_t *s, int err, const char *format, ...)
{
  va_list args;
  va_start (args, format);
  text_v (s->error, sizeof s->error, format, args);
  va_end (args);
  logf_ (s, MEMIF_EXT_LOG_DEBUG, "%s", s->error);
  return err;
}

const char *
where (const conn_t *c)
{
  static _Thread_local char text[192];
  text_f (text, sizeof text, "%s id %u on %s", c->args.is_master ? "master" : "slave",
	  (unsigned) c->args.interface_id, c->sock->path);
  return text;
}

const char *
memif_ext_socket_error (memif_socket_handle_t sock)
{
  const char *lacks = sock ? NULL : eventfds_open ();
  return sock ? ((sock_t *) sock)->error : lacks ? lacks : "no socket";
}

uint16_t
memif_get_version (void)
{
  return PROTOCOL_VERSION;
}

const char *
memif_get_version_str (void)
{
  return "2.0";
}
