/* The control loop: descriptors, the timer, cancelling. */
#define _GNU_SOURCE
#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "control.h"

enum { EVENTS_AT_A_TIME = 32 };

uint64_t
now_ns (void)
{
  struct timespec t;
  clock_gettime (CLOCK_MONOTONIC, &t);
  return (uint64_t) t.tv_sec * NSEC_PER_SEC + (uint64_t) t.tv_nsec;
}

static int
watch (sock_t *s, event_t *e, memif_fd_event_type_t type)
{
  if (s->on_control_fd_update)
    {
      memif_fd_event_t fde = { .fd = e->fd, .type = type, .private_ctx = e };
      int refused = s->on_control_fd_update (fde, s->private_ctx);
      errno = refused ? ECANCELED : errno;
      return refused;
    }
  struct epoll_event ee = { .events = EPOLLIN, .data.ptr = e };
  return epoll_ctl (s->epfd, type == MEMIF_FD_EVENT_DEL ? EPOLL_CTL_DEL : EPOLL_CTL_ADD, e->fd,
		    &ee);
}

event_t *
event_add (sock_t *s, int fd, void (*handle) (event_t *), void *owner)
{
  event_t *e;
  for (e = s->events; e; e = e->next)
    if (e->fd < 0 && !e->fresh_free)
      break;
  if (!e)
    {
      e = zalloc (&s->memory, sizeof *e);
      if (!e)
	{
	  errno = ENOMEM; /* the program's allocator need not say so */
	  return NULL;
	}
      e->sock = s;
      e->next = s->events;
      s->events = e;
    }
  e->fd = fd;
  e->handle = handle;
  e->owner = owner;
  if (watch (s, e, MEMIF_FD_EVENT_READ) != 0)
    {
      e->fd = -1;
      return NULL;
    }
  return e;
}

int
event_error (void)
{
  return errno == ECANCELED ? MEMIF_ERR_CB_FDUPDATE : error_of_errno (errno);
}

void
event_remove (event_t *e)
{
  if (!e)
    return;
  watch (e->sock, e, MEMIF_FD_EVENT_DEL);
  e->fd = -1;
  e->owner = NULL;
  e->fresh_free = e->sock->depth > 0;
}

void
loop_kick (sock_t *s)
{
  uint64_t one = 1;
  /* Full means that it is readable already. */
  if (!s->deleted && write (s->wake->fd, &one, sizeof one) < 0 && errno != EAGAIN)
    logf_ (s, MEMIF_EXT_LOG_ERROR, "the control loop can't be woken (errno %d)", errno);
}

static void
drain (int fd)
{
  uint64_t count;
  if (read (fd, &count, sizeof count) < 0)
    return; /* EAGAIN: nothing there */
}

static void
on_wake (event_t *e)
{
  sock_t *s = e->sock;
  drain (e->fd);
  /* After the drain: help_owner sets it before it kicks, so none is missed. */
  if (atomic_exchange (&s->stuck, false))
    for (const conn_t *c = s->conns; c; c = c->next)
      link_unblock (c->link);
  for (conn_t *c = s->conns; c; c = c->next)
    {
      char fault[ERROR_TEXT];
      if (!fault_take (c, fault) || !c->up)
	continue;
      channel_close (c->channel, MEMIF_ERR_MFMSG, END_OURS, "%s", fault);
      return loop_kick (s); /* the list may have changed: look again */
    }
}

/* A callback may change the list, so each step starts at its head. */
static void
request_connections (sock_t *s, uint64_t round)
{
  conn_t *c = s->conns;
  while (c)
    {
      if (c->asked != round && !c->args.is_master && !c->channel && !c->closed)
	{
	  c->asked = round;
	  channel_connect (c);
	  c = s->conns;
	}
      else
	c = c->next;
    }
}

static void
on_timer (event_t *e)
{
  sock_t *s = e->sock;
  drain (e->fd);
  uint64_t now = now_ns ();
  s->armed_at = 0;

  for (channel_t *ch = s->channels, *next; ch; ch = next)
    {
      next = ch->next;
      if (ch->state != CH_UP && ch->deadline <= now)
	{
	  /* Callbacks may change the list: the rest on the next tick. */
	  channel_close (ch, MEMIF_ERR_DISCONNECT, END_OURS, "the handshake was not finished in time");
	  break;
	}
    }
  listener_resume (s);
  log_tell (s, now);
  if (s->next_request && s->next_request <= now)
    {
      s->next_request = now + s->period_ns;
      request_connections (s, now);
    }
  timer_update (s);
}

void
timer_update (sock_t *s)
{
  uint64_t at = 0;
  bool waiting = false;

  if (s->deleted)
    return;
  for (const conn_t *c = s->conns; c; c = c->next)
    waiting |= !c->args.is_master && !c->channel && !c->closed;
  if (!waiting || !s->period_ns)
    s->next_request = 0;
  else if (!s->next_request)
    s->next_request = now_ns () + s->first_ns;
  at = s->next_request;
  for (const channel_t *ch = s->channels; ch; ch = ch->next)
    if (ch->state != CH_UP && (!at || ch->deadline < at))
      at = ch->deadline;
  if (s->paused_listener >= 0 && (!at || s->resume_at < at))
    at = s->resume_at;
  uint64_t log_at = log_due (s);
  if (log_at && (!at || log_at < at))
    at = log_at;

  if (at == s->armed_at)
    return;
  s->armed_at = at;
  struct itimerspec spec = { .it_value = { .tv_sec = (time_t) (at / NSEC_PER_SEC),
					   .tv_nsec = (long) (at % NSEC_PER_SEC) } };
  timerfd_settime (s->timer->fd, TFD_TIMER_ABSTIME, &spec, NULL);
}

void
enter (sock_t *s)
{
  s->control = pthread_self ();
  s->depth++;
}

void
sock_free (sock_t *s)
{
  while (s->events)
    {
      event_t *e = s->events;
      s->events = e->next;
      s->memory.free (e);
    }
  give_back (&s->memory, s->allowed);
  s->memory.free (s);
}

/* Whether the socket is there still. */
bool
leave (sock_t *s)
{
  if (--s->depth > 0)
    return true;
  for (event_t *e = s->events; e; e = e->next)
    e->fresh_free = false;
  while (s->dead_channels)
    {
      channel_t *ch = s->dead_channels;
      s->dead_channels = ch->next;
      s->memory.free (ch);
    }
  while (s->dead)
    {
      conn_t *c = s->dead;
      s->dead = c->next;
      queues_destroy (c);
      explicit_bzero (c->args.secret, sizeof c->args.secret);
      s->memory.free (c);
    }
  if (!s->deleted)
    return true;
  sock_free (s);
  return false;
}

int
loop_open (sock_t *s)
{
  int wake = eventfd (0, EFD_NONBLOCK | EFD_CLOEXEC);
  int timer = timerfd_create (CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
  s->epfd = s->on_control_fd_update ? -1 : epoll_create1 (EPOLL_CLOEXEC);

  if (wake < 0 || timer < 0 || (!s->on_control_fd_update && s->epfd < 0))
    goto failed;
  s->wake = event_add (s, wake, on_wake, s);
  s->timer = s->wake ? event_add (s, timer, on_timer, s) : NULL;
  if (s->timer)
    return MEMIF_ERR_SUCCESS;

failed:;
  int err = event_error ();
  event_remove (s->wake);
  if (wake >= 0)
    close (wake);
  if (timer >= 0)
    close (timer);
  if (s->epfd >= 0)
    close (s->epfd);
  return err;
}

void
loop_close (sock_t *s)
{
  event_t *both[] = { s->wake, s->timer };
  for (int i = 0; i < 2; i++)
    {
      int fd = both[i]->fd;
      event_remove (both[i]);
      close (fd);
    }
  if (s->epfd >= 0)
    close (s->epfd);
}

int
memif_control_fd_handler (void *ptr, memif_fd_event_type_t events)
{
  (void) events; /* handlers look for themselves */
  event_t *e = ptr;
  if (!e)
    return MEMIF_ERR_INVAL_ARG;
  sock_t *s = e->sock;
  if (e->fd < 0 || e->fresh_free)
    return MEMIF_ERR_SUCCESS; /* removed since the program's poll */
  enter (s);
  e->handle (e);
  leave (s);
  return MEMIF_ERR_SUCCESS;
}

int
memif_poll_event (memif_socket_handle_t sock, int timeout)
{
  sock_t *s = sock;
  struct epoll_event ready[EVENTS_AT_A_TIME];
  int n;

  if (!s)
    return MEMIF_ERR_INVAL_ARG;
  if (s->epfd < 0)
    return fail (s, MEMIF_ERR_INVAL_ARG, "the program polls this socket (on_control_fd_update)");

  uint64_t end = timeout > 0 ? now_ns () + (uint64_t) timeout * 1000000 : 0;
  while ((n = epoll_wait (s->epfd, ready, EVENTS_AT_A_TIME, timeout)) < 0)
    {
      if (errno != EINTR)
	return fail (s, error_of_errno (errno), "epoll_wait failed (errno %d)", errno);
      if (timeout > 0)
	{
	  uint64_t now = now_ns ();
	  timeout = now >= end ? 0 : (int) ((end - now + 999999) / 1000000);
	}
    }
  enter (s);
  for (int i = 0; i < n; i++)
    {
      event_t *e = ready[i].data.ptr;
      if (e->fd >= 0 && !e->fresh_free)
	e->handle (e);
    }
  if (!leave (s))
    return MEMIF_ERR_SUCCESS; /* a callback has deleted it */
  /* Acquire: what the canceller did before its call is seen after this one. */
  return atomic_exchange_explicit (&s->cancelled, false, memory_order_acquire)
	   ? MEMIF_ERR_POLL_CANCEL
	   : MEMIF_ERR_SUCCESS;
}

int
memif_cancel_poll_event (memif_socket_handle_t sock)
{
  sock_t *s = sock;
  if (!s)
    return MEMIF_ERR_INVAL_ARG;
  /* Before the kick; release: to the acquire in memif_poll_event. */
  atomic_store_explicit (&s->cancelled, true, memory_order_release);
  loop_kick (s);
  return MEMIF_ERR_SUCCESS;
}
