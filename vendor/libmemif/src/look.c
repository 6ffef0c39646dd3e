/* Looks at queues whose readers sleep, for producers without a fence.
 *
 * A producer publishes, and then looks whether the receiver wants to be woken. Without a full
 * fence in between its processor may look first, and keep what is published to itself for a
 * moment: the receiver clears the flag, finds nothing and sleeps. We have the fence; libmemif and
 * VPP have not.
 *
 * That moment ends: a processor hands on what it has written within microseconds, and at the
 * latest when it enters the kernel. So whoever goes to sleep has the ring looked at once more a
 * millisecond later, which finds every such packet, and then, in case somebody stops whole
 * processors, after ten, a hundred and a thousand of them. Then a reader sleeps for as long as
 * there is nothing. memif_ext_rx_wait looks for itself: some times before it sleeps, and then from
 * ten milliseconds on. For those that sleep in a loop of their own the control thread does. */
#define _GNU_SOURCE
#include <poll.h>

#include "control.h"

void
loop_ask_look (sock_t *s)
{
  /* After the fence in queue_arm: we see that nobody looks, or the last look sees the queue. */
  if (!atomic_load_explicit (&s->looking, memory_order_relaxed) && !atomic_exchange (&s->looking, true))
    loop_kick (s);
}

void
looks_begin (sock_t *s)
{
  if (!s->look_at && atomic_load (&s->looking))
    {
      s->look_step = FIRST_LOOK_NS;
      s->look_at = now_ns () + s->look_step;
      timer_update (s);
    }
}

static bool
is_signalled (int efd)
{
  struct pollfd p = { .fd = efd, .events = POLLIN };
  return poll (&p, 1, 0) > 0;
}

/* Whether it was armed since the last time. The interface's reference keeps the ring mapped, so
 * this needs no lock; who is woken without need looks and sleeps again. */
static bool
look (queue_t *q, const link_ring_t *r)
{
  bool fresh = atomic_exchange (&q->fresh, false);
  uint32_t armed_at = atomic_load_explicit (&q->armed_at, memory_order_relaxed);
  const ring_t *ring = r->shm;
  /* Relaxed: nothing is read by it. */
  uint16_t counter = atomic_load_explicit (q->slave ? &ring->tail : &ring->head, memory_order_relaxed);
  if (armed_at && (uint16_t) armed_at != counter)
    {
      queue_attention (q);
      /* Where it is this that is polled. */
      if ((q->event || atomic_load_explicit (&q->clears, memory_order_relaxed)) && !is_signalled (r->efd))
	eventfd_signal (r->efd);
    }
  return fresh;
}

void
looks_due (sock_t *s, uint64_t now)
{
  if (!s->look_at || s->look_at > now)
    return;
  /* Before the looks, so that who is armed after the last one asks again. */
  const bool last = s->look_step >= LAST_LOOK_NS;
  if (last)
    atomic_store (&s->looking, false);
  bool fresh = false;
  for (conn_t *c = s->conns; c; c = c->next)
    for (unsigned i = 0; c->up && i < c->run_rx; i++)
      fresh |= look (c->rx[i], c->args.is_master ? &c->link->s2m[i] : &c->link->m2s[i]);
  if (fresh)
    atomic_store (&s->looking, true);
  s->look_step = fresh ? FIRST_LOOK_NS : s->look_step * LOOK_FACTOR;
  s->look_at = last && !fresh ? 0 : now + s->look_step;
  if (last && !fresh)
    looks_begin (s); /* somebody has asked meanwhile */
}
