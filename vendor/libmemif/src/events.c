/* The control loop: which descriptors are watched, and handing each to its handler. */
#define _GNU_SOURCE
#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "control.h"

enum { EVENTS_AT_A_TIME = 32 };

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
loop_drain (int fd)
{
  uint64_t count;
  if (read (fd, &count, sizeof count) < 0)
    return; /* EAGAIN: nothing there */
}

void
dispatch_begin (sock_t *s)
{
  s->control = pthread_self ();
  s->depth++;
}

bool
dispatch_end (sock_t *s)
{
  if (--s->depth > 0)
    return true;
  for (event_t *e = s->events; e; e = e->next)
    e->fresh_free = false;
  sock_free_dead (s);
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
  s->wake = event_add (s, wake, wake_event, s);
  s->timer = s->wake ? event_add (s, timer, timer_event, s) : NULL;
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
  dispatch_begin (s);
  e->handle (e);
  dispatch_end (s);
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
  dispatch_begin (s);
  for (int i = 0; i < n; i++)
    {
      event_t *e = ready[i].data.ptr;
      if (e->fd >= 0 && !e->fresh_free)
	e->handle (e);
    }
  if (!dispatch_end (s))
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
