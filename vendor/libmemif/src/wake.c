/* What other threads ask of the control thread. */
#define _GNU_SOURCE
#include <errno.h>
#include <unistd.h>

#include "control.h"

void
loop_kick (sock_t *s)
{
  uint64_t one = 1;
  /* Full means that it is readable already. */
  if (!s->deleted && write (s->wake->fd, &one, sizeof one) < 0 && errno != EAGAIN)
    logf_ (s, MEMIF_EXT_LOG_ERROR, "the control loop can't be woken (errno %d)", errno);
}

void
wake_event (event_t *e)
{
  sock_t *s = e->sock;
  loop_drain (e->fd);
  looks_begin (s);
  for (conn_t *c = s->conns; c; c = c->next)
    /* Acquire: what the queue's owner did before. */
    if (atomic_exchange_explicit (&c->overran, false, memory_order_acquire))
      peer_logf (s, c, MEMIF_EXT_LOG_WARN, "%s: the peer overruns the ring, and packets are lost%s",
		 where (c), strncmp ((const char *) c->remote_name, "VPP", 3) ? "" : ": VPP before 26.06 does so with chains");
  for (conn_t *c = s->conns; c; c = c->next)
    {
      char fault[ERROR_TEXT];
      if (!fault_take (c, fault) || !c->up)
	continue;
      channel_close (c->channel, MEMIF_ERR_MFMSG, END_OURS, "%s", fault);
      return loop_kick (s); /* the list may have changed: look again */
    }
}
