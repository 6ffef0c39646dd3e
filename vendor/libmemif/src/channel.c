/* Channels: connections of the control socket, and what becomes of their interfaces. */
#define _GNU_SOURCE
#include <errno.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "control.h"

static void
disconnect_send (int fd, int err, const char *reason)
{
  message_t m = { .type = MSG_DISCONNECT };
  m.disconnect.code = (uint32_t) err;
  text_to_wire (m.disconnect.reason, REASON_SIZE, reason);
  message_send (fd, &m, -1);
}

static channel_t *
channel_new (sock_t *s, int fd, channel_state_t state)
{
  channel_t *ch = zalloc (&s->memory, sizeof *ch);
  if (!ch)
    return NULL;
  ch->sock = s;
  ch->state = state;
  ch->began = now_ns ();
  ch->deadline = ch->began + (uint64_t) s->ext.handshake_ms * 1000000;
  ch->event = event_add (s, fd, handshake_event, ch);
  if (!ch->event)
    {
      s->memory.free (ch);
      return NULL;
    }
  ch->next = s->channels;
  s->channels = ch;
  s->half_open++;
  return ch;
}

/* Unfinished handshakes of this process, and of its user. Silent ones only: who has sent its INIT
 * knows our secret, and there are no more of these than interfaces. */
static void
count_silent (const sock_t *s, const memif_ext_peer_t *peer, unsigned *process, unsigned *user)
{
  *process = *user = 0;
  for (const channel_t *ch = s->channels; ch; ch = ch->next)
    if (ch->state == CH_MASTER_INIT && ch->peer.uid == peer->uid)
      {
	++*user;
	*process += ch->peer.pid == peer->pid;
      }
}

/* An honest peer needs less for a handshake: it is not to lose it to the next one of its process,
 * as all would of a process that connects many interfaces at once. */
enum { HURRY_NS = 100 * 1000 * 1000 };

/* Finds the handshake that goes for a new one of this peer, or NULL: none need; or fails, and the new
 * one does not get in. It is the oldest of the process that has most of them; of those that have as
 * many, of the user that has most. No process gets all places, so that there are some for those who
 * need longer. */
static int
one_too_many (const sock_t *s, const memif_ext_peer_t *peer, channel_t **goes)
{
  const unsigned share = s->ext.max_half_open - s->ext.max_half_open / 4;
  const bool full = s->half_open >= s->ext.max_half_open;
  unsigned process, user, most_process = 0, most_user = 0;

  *goes = NULL;
  count_silent (s, peer, &process, &user);
  const bool only_own = process >= share;
  for (channel_t *ch = s->channels; ch && (full || only_own); ch = ch->next)
    {
      if (ch->state != CH_MASTER_INIT
	  || (only_own && (ch->peer.pid != peer->pid || ch->peer.uid != peer->uid)))
	continue;
      if (!only_own)
	count_silent (s, &ch->peer, &process, &user);
      if (process > most_process || (process == most_process && user >= most_user))
	{
	  most_process = process;
	  most_user = user;
	  *goes = ch; /* new ones are at the head, so the last of these is the oldest */
	}
    }
  return only_own && now_ns () - (*goes)->began < HURRY_NS ? MEMIF_ERR_AGAIN : MEMIF_ERR_SUCCESS;
}

#define TOO_MANY "too many unfinished handshakes"

void
channel_accept (sock_t *s, int fd)
{
  memif_ext_peer_t peer;
  char why[REASON_SIZE];
  int err = access_check (s, fd, &peer, why, sizeof why);
  if (!err && foreign_crowded (&peer, false))
    {
      text_f (why, sizeof why, "too much of its process, or its user, waits to be closed");
      err = MEMIF_ERR_AGAIN;
    }
  channel_t *goes = NULL;
  if (!err && (err = one_too_many (s, &peer, &goes)))
    text_f (why, sizeof why, "%s", TOO_MANY);
  if (err)
    {
      peer_logf (s, NULL, MEMIF_EXT_LOG_WARN, "%s: refused process %d: %s", s->path, (int) peer.pid, why);
      disconnect_send (fd, err, why);
      foreign_hang_up (fd, &peer);
      return;
    }

  if (goes)
    channel_close (goes, MEMIF_ERR_AGAIN, END_OURS, TOO_MANY);

  channel_t *ch = channel_new (s, fd, CH_MASTER_INIT);
  if (!ch)
    {
      foreign_hang_up (fd, &peer);
      peer_logf (s, NULL, MEMIF_EXT_LOG_ERROR, "%s: no memory for a peer", s->path);
      return;
    }
  ch->peer = peer;
  err = handshake_hello (ch);
  if (err)
    channel_close (ch, err, END_LOST, "the peer does not take our messages");
  timer_update (s);
}

static void
tell_failed (conn_t *c, int err, bool refused, const char *reason)
{
  text_f (c->sock->error, sizeof c->sock->error, "%s: %s", where (c), reason);
  if (c->ext.on_fail)
    c->ext.on_fail (c, c->private_ctx, err, refused, reason);
}

static int
connect_failed (conn_t *c, int err, const char *reason)
{
  text_f (c->error, sizeof c->error, "%s", reason);
  peer_logf (c->sock, c, MEMIF_EXT_LOG_DEBUG, "%s: %s", where (c), reason);
  tell_failed (c, err, false, reason);
  return err;
}

int
channel_connect (conn_t *c)
{
  sock_t *s = c->sock;
  struct sockaddr_un sun;
  socklen_t len = socket_address (s->path, &sun);
  char reason[ERROR_TEXT];

  if (!foreign_ready ())
    return connect_failed (c, MEMIF_ERR_NOMEM, "no memory for a connection");
  int fd = socket (AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0 || connect (fd, (struct sockaddr *) &sun, len) < 0)
    {
      int why = errno, err = error_of_errno (why);
      if (fd >= 0)
	close (fd);
      text_f (reason, sizeof reason, "connecting to %s: %s (errno %d)", s->path,
	      why == EPROTOTYPE ? "it is no memif socket" : memif_strerror (err), why);
      return connect_failed (c, why == EPROTOTYPE ? MEMIF_ERR_FILE_NOT_SOCK : err, reason);
    }
  int err = access_check (s, fd, &c->peer, reason, sizeof reason);
  c->known_peer = true;
  if (err)
    {
      disconnect_send (fd, err, reason);
      foreign_hang_up (fd, &c->peer);
      return connect_failed (c, err, reason);
    }
  channel_t *ch = channel_new (s, fd, CH_SLAVE_HELLO);
  if (!ch)
    {
      foreign_hang_up (fd, &c->peer);
      return connect_failed (c, MEMIF_ERR_NOMEM, "no memory for a connection");
    }
  ch->peer = c->peer;
  ch->conn = c;
  c->channel = ch;
  return MEMIF_ERR_SUCCESS;
}

void
channel_up (channel_t *ch)
{
  conn_t *c = ch->conn;
  ch->state = CH_UP;
  ch->sock->half_open--;
  c->up = c->linked = true;
  c->error[0] = 0;
  char stale[ERROR_TEXT];
  fault_take (c, stale); /* of an earlier link */
  if (link_is_external (c->link))
    {
      /* Relaxed: c->link's own reference holds it meanwhile. */
      atomic_fetch_add_explicit (&c->link->refs, 1, memory_order_relaxed);
      c->external = c->link;
    }
  queues_up (c);
  peer_logf (ch->sock, c, MEMIF_EXT_LOG_INFO, "%s: connected to %s, interface %s", where (c),
	 c->remote_name, c->remote_if);
  /* A program of libmemif 4.0 may offer them itself, with headroom. */
  bool offer_first = c->ext.keep_unread;
  if (!c->args.is_master && offer_first)
    queues_offer (c);
  if (c->on_connect)
    c->on_connect (c, c->private_ctx);
  if (c->up && !c->args.is_master && !offer_first)
    queues_offer (c);
}

void
channel_close (channel_t *ch, int err, end_t end, const char *format, ...)
{
  sock_t *s = ch->sock;
  conn_t *c = ch->conn;
  char reason[ERROR_TEXT];
  va_list args;
  va_start (args, format);
  text_v (reason, sizeof reason, format, args);
  va_end (args);

  if (end == END_OURS)
    disconnect_send (ch->event->fd, err, reason);
  int fd = ch->event->fd;
  event_remove (ch->event);
  foreign_hang_up (fd, &ch->peer);
  for (channel_t **at = &s->channels; *at; at = &(*at)->next)
    if (*at == ch)
      {
	*at = ch->next;
	break;
      }
  if (ch->state != CH_UP)
    s->half_open--;
  ch->next = s->dead_channels;
  s->dead_channels = ch;

  bool ours = c && c->closed;
  if (!c)
    {
      peer_logf (s, NULL, MEMIF_EXT_LOG_WARN, "%s: refused process %d of user %u (%s): %s", s->path,
		 (int) ch->peer.pid, (unsigned) ch->peer.uid,
		 ch->peer_name[0] ? ch->peer_name : "unnamed", reason);
      timer_update (s);
      return;
    }

  bool was_up = c->up;
  c->channel = NULL;
  c->up = false;
  text_f (c->error, sizeof c->error, "%s%s", end == END_PEERS ? "the peer says: " : "", reason);
  if (was_up)
    queues_down (c);
  link_t *link = c->link;
  c->link = NULL;
  if (link)
    link_close_fds (link);
  timer_update (s);
  peer_logf (s, c, end == END_OURS && !ours ? MEMIF_EXT_LOG_WARN : MEMIF_EXT_LOG_INFO,
	     "%s: %s: %s", where (c), was_up ? "disconnected" : "not connected", c->error);
  if (was_up && c->on_disconnect)
    c->on_disconnect (c, c->private_ctx);
  else if (!was_up && !ours)
    {
      char text[ERROR_TEXT];
      memcpy (text, c->error, sizeof text);
      tell_failed (c, err, end == END_PEERS, text);
    }
  /* Only now: until its callback the program may be using buffers. */
  if (link)
    link_unref (link);
}
