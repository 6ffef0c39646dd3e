/* The timer of the control loop: connections that are asked for again, handshakes that take too
 * long, a listener that pauses, looks at rings, lines that were left out. */
#define _GNU_SOURCE
#include <sys/timerfd.h>
#include <time.h>

#include "control.h"

uint64_t
now_ns (void)
{
  struct timespec t;
  clock_gettime (CLOCK_MONOTONIC, &t);
  return (uint64_t) t.tv_sec * NSEC_PER_SEC + (uint64_t) t.tv_nsec;
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

void
timer_event (event_t *e)
{
  sock_t *s = e->sock;
  loop_drain (e->fd);
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
  looks_due (s, now);
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
  if (s->look_at && (!at || s->look_at < at))
    at = s->look_at;
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

static uint64_t
ns_of (struct timespec t)
{
  return t.tv_sec < 0 || t.tv_nsec < 0 ? 0
				       : (uint64_t) t.tv_sec * NSEC_PER_SEC + (uint64_t) t.tv_nsec;
}

int
memif_set_connection_request_timer (memif_socket_handle_t sock, struct itimerspec timer)
{
  sock_t *s = sock;
  if (!s)
    return MEMIF_ERR_INVAL_ARG;
  s->first_ns = ns_of (timer.it_value);
  s->period_ns = ns_of (timer.it_interval);
  if (!s->first_ns)
    s->first_ns = s->period_ns;
  if (!s->period_ns)
    s->period_ns = s->first_ns;
  s->next_request = 0;
  timer_update (s);
  return MEMIF_ERR_SUCCESS;
}
