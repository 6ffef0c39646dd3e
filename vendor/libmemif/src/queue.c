/* Queues over the life of their interface: up, draining, the next link. */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "control.h"
#include "rx.h"
#include "tx.h"

/* With the lock held: the waiter wakes when the ring's eventfd is written. */
static void
watch_ring (queue_t *q)
{
  /* Edges: rx_wait needs no call to clear what it has seen. */
  struct epoll_event ee = { .events = EPOLLIN | EPOLLET };
  if (q->epfd >= 0 && q->efd >= 0)
    epoll_ctl (q->epfd, EPOLL_CTL_ADD, q->efd, &ee);
}

/* What the waiter sleeps on, the same over all links: it holds the ring's
 * eventfd while there is one, and the wake descriptor. With the lock held. */
static int
waiting_open (queue_t *q)
{
  int epfd = epoll_create1 (EPOLL_CLOEXEC);
  int wake_fd = eventfd (0, EFD_NONBLOCK | EFD_CLOEXEC);
  struct epoll_event ee = { .events = EPOLLIN };
  if (epfd < 0 || wake_fd < 0 || epoll_ctl (epfd, EPOLL_CTL_ADD, wake_fd, &ee) < 0)
    {
      int err = error_of_errno (errno);
      if (epfd >= 0)
	close (epfd);
      if (wake_fd >= 0)
	close (wake_fd);
      return err;
    }
  q->wake_fd = wake_fd;
  q->epfd = epfd;
  watch_ring (q);
  return MEMIF_ERR_SUCCESS;
}

int
queue_prepare (queue_t *q)
{
  if (q->epfd >= 0 || !q->rx || !q->conn->ext.keep_unread)
    return MEMIF_ERR_SUCCESS;
  queue_lock (q);
  int err = q->epfd < 0 ? waiting_open (q) : MEMIF_ERR_SUCCESS;
  queue_unlock (q);
  return err;
}

int
queues_create (conn_t *c)
{
  sock_t *s = c->sock;
  bool slave = !c->args.is_master;
  c->num_rx = slave ? c->args.num_m2s_rings : c->args.num_s2m_rings;
  c->num_tx = slave ? c->args.num_s2m_rings : c->args.num_m2s_rings;
  c->rx_end = c->tx_end = NO_LINK;
  c->rx = zalloc (&s->memory, ((size_t) c->num_rx + c->num_tx) * sizeof *c->rx);
  if (!c->rx)
    return MEMIF_ERR_NOMEM;
  c->tx = c->rx + c->num_rx;
  return MEMIF_ERR_SUCCESS;
}

static void
queue_free (queue_t *q)
{
  const allocator_t *memory = &q->conn->sock->memory;
  give_back (memory, q->pending);
  give_back (memory, q->memory);
}

queue_t *
queue_make (conn_t *c, uint16_t qid, bool rx)
{
  const allocator_t *memory = &c->sock->memory;
  const size_t align = _Alignof (queue_t);
  void *allocated = zalloc (memory, sizeof (queue_t) + align - 1);
  if (!allocated)
    return NULL;
  queue_t *q = (queue_t *) (((uintptr_t) allocated + align - 1) & ~(uintptr_t) (align - 1));
  q->memory = allocated;
  q->conn = c;
  q->rx = rx;
  q->qid = qid;
  q->slave = !c->args.is_master;
  q->efd = -1;
  q->epfd = q->wake_fd = -1;
  const bool keeps = rx && c->ext.keep_unread;
  if (keeps && !(q->pending = zalloc (memory, MAX_PENDING_LINKS * sizeof (pending_link_t))))
    {
      queue_free (q);
      return NULL;
    }
  /* Sequentially consistent, as the writes and reads of rx_end: either wake_readers finds this
   * queue, or its reader sees that the link has changed. */
  queue_t *made = NULL;
  if (atomic_compare_exchange_strong (rx ? &c->rx[qid] : &c->tx[qid], &made, q))
    return q;
  queue_free (q); /* another thread was faster */
  return made;
}

/* The next queue from *i on that was made, of both directions; NULL: there is none. */
static queue_t *
next_made (const conn_t *c, unsigned *i, unsigned end)
{
  while (*i < end)
    {
      queue_t *q = c->rx[(*i)++];
      if (q)
	return q;
    }
  return NULL;
}

/* With the lock held. */
static void
release (queue_t *q)
{
  if (q->epfd >= 0 && q->efd >= 0)
    epoll_ctl (q->epfd, EPOLL_CTL_DEL, q->efd, NULL);
  link_t *l = q->link;
  q->state = QUEUE_GONE;
  q->link = NULL;
  q->ring = NULL;
  q->number++;
  q->own = q->spare = NULL;
  q->regions = NULL;
  q->num_regions = 0;
  q->efd = -1;
  q->armed = false;
  atomic_store_explicit (&q->armed_at, 0, memory_order_relaxed);
  q->fault = FAULT_NONE;
  /* After a fault packets are left, which nobody is to look for any more. */
  q->next = q->done = q->peer = q->limit = 0;
  if (l)
    link_unref (l);
}

void
queues_destroy (conn_t *c)
{
  const unsigned end = (unsigned) c->num_rx + c->num_tx;
  unsigned i = c->rx ? 0 : end;
  for (queue_t *q; (q = next_made (c, &i, end));)
    {
      release (q);
      for (unsigned p = 0; p < q->num_pending; p++)
	link_unref (q->pending[p].link);
      if (q->epfd >= 0)
	close (q->epfd);
      if (q->wake_fd >= 0)
	close (q->wake_fd);
      queue_free (q);
    }
  give_back (&c->sock->memory, c->rx);
  if (c->external)
    link_unref (c->external); /* the last reference, as in queues_return_external */
}

/* With the lock held: works on this link from now on. */
static void
install (queue_t *q, link_t *l, link_ring_t *r)
{
  q->link = l;
  q->ring = r->shm;
  q->own = r->own;
  q->spare = r->spare;
  q->num_spare = (uint16_t) ((1u << r->log2) + linger_large (r->linger));
  q->regions = l->regions;
  q->num_regions = l->num_regions;
  if (r->own)
    {
      q->base_region = own_region (r->own[0]);
      q->base = l->regions[q->base_region].addr;
    }
  q->buffer_size = l->buffer_size;
  q->small_size = r->small_size;
  q->small = r->small;
  q->first_length = desc_read (&r->shm->desc[0]).length;
  q->mask = (uint16_t) ((1u << r->log2) - 1);
  q->log2 = r->log2;
  q->own_mask = (uint16_t) (q->rx ? q->mask : 2 * q->mask + 1);
  q->efd = r->efd;
  q->next = q->done = q->peer = q->reclaimed = q->limit = q->offered = q->least = q->untaken = 0;
  q->chained = q->far = false;
  q->samples = q->far_samples = 0;
  q->fault = FAULT_NONE;
  q->state = QUEUE_UP;
  if (!q->rx)
    {
      q->linger = q->slave ? r->linger : linger_of (q->mask + 1u);
      tx_promise (q, q->linger);
      return;
    }
  if (q->polling)
    queue_disarm (q);
  else
    queue_arm (q);
  watch_ring (q);
}

/* With the lock held. A slave may offer its buffers after the link is up: until the first slot is
 * used, it says their size. */
uint32_t
queue_buffer_size (queue_t *q)
{
  if (!q->rx && !q->first_length && q->next == 0)
    q->first_length = desc_read (&q->ring->desc[0]).length;
  return q->buffer_size ? q->buffer_size : q->first_length;
}

static bool
waits_for_reader (const queue_t *q)
{
  return q->pending && q->state == QUEUE_DRAINING;
}

/* With the lock held: a reader that has not come for so many links can't keep all of them. */
static void
make_room (queue_t *q)
{
  if (q->num_pending < MAX_PENDING_LINKS)
    return;
  peer_logf (q->conn->sock, q->conn, MEMIF_EXT_LOG_WARN,
	     "%s: receive queue %u: nobody has read it for %d links; %u slots of the oldest are lost",
	     where (q->conn), q->qid, MAX_PENDING_LINKS, (uint16_t) (q->limit - q->next));
  queue_drained (q);
}

static void
on_queue_event (event_t *e)
{
  queue_t *q = e->owner;
  conn_t *c = q->conn;
  if (q->polling)
    eventfd_clear (e->fd); /* of before the mode was changed */
  else if (c->on_interrupt && c->up)
    c->on_interrupt (c, c->private_ctx, q->qid);
}

/* Whoever waits for a queue, also one that the link lacks, finds all of them as they are now. */
static void
wake_readers (conn_t *c)
{
  unsigned i = 0;
  for (queue_t *q; (q = next_made (c, &i, c->num_rx));)
    queue_attention (q);
}

void
queues_up (conn_t *c)
{
  link_t *l = c->link;
  bool slave = !c->args.is_master;
  c->run_rx = slave ? l->num_m2s : l->num_s2m;
  c->run_tx = slave ? l->num_s2m : l->num_m2s;

  for (unsigned i = 0; i < (unsigned) c->run_rx + c->run_tx; i++)
    {
      bool rx = i < c->run_rx;
      unsigned qid = rx ? i : i - c->run_rx;
      queue_t *q = rx ? c->rx[qid] : c->tx[qid]; /* made by the handshake */
      link_ring_t *r = rx == slave ? &l->m2s[qid] : &l->s2m[qid];

      /* Relaxed: c->link's own reference holds it meanwhile. */
      atomic_fetch_add_explicit (&l->refs, 1, memory_order_relaxed);
      queue_lock (q);
      make_room (q);
      if (waits_for_reader (q))
	q->pending[q->num_pending++] = (pending_link_t){ .link = l, .ring = r };
      else
	{
	  release (q);
	  install (q, l, r);
	}
      queue_unlock (q);
      if (rx && c->on_interrupt && !(q->event = event_add (c->sock, r->efd, on_queue_event, q)))
	logf_ (c->sock, MEMIF_EXT_LOG_ERROR, "%s: the interrupts of queue %u can't be watched",
	       where (c), q->qid);
    }
  c->rx_end = c->run_rx;
  c->tx_end = c->run_tx;
  wake_readers (c);
}

void
queues_offer (conn_t *c)
{
  for (unsigned i = 0; i < c->run_rx; i++)
    {
      queue_t *q = c->rx[i];
      queue_lock (q);
      /* Relaxed: a slave's head is its own. */
      if (q->state == QUEUE_UP && q->done == 0
	  && atomic_load_explicit (&q->ring->head, memory_order_relaxed) == 0)
	rx_give_back (q, (uint16_t) (q->mask + 1), 0);
      /* Links that wait behind others get no packets until their turn, and lose none. */
      queue_unlock (q);
    }
}

/* With the lock held. */
static void
go_down (queue_t *q)
{
  if (q->num_pending)
    {
      pending_link_t *last = &q->pending[q->num_pending - 1];
      const ring_t *ring = last->ring->shm;
      /* The packets were written before the counter: acquire. They are read by this limit. */
      last->limit = atomic_load_explicit (q->slave ? &ring->tail : &ring->head, memory_order_acquire);
      last->down = true;
      if (last->limit == 0 || last->link->unsealed)
	{
	  link_unref (last->link);
	  q->num_pending--;
	}
      return;
    }
  /* Acquire, as above. */
  q->limit = atomic_load_explicit (q->slave ? &q->ring->tail : &q->ring->head, memory_order_acquire);
  q->state = QUEUE_DRAINING;
  /* Unsealed memory belongs to the peer's pool, which goes on using it. */
  int published = q->link->unsealed ? 0 : rx_published (q);
  q->limit = q->peer = (uint16_t) (q->next + (published > 0 ? published : 0));
  /* A program of libmemif 4.0 may hold buffers still; a fault is still to be told. */
  if (published == 0 && q->pending && queue_holds_none (q))
    queue_drained (q);
}

void
queues_down (conn_t *c)
{
  c->rx_end = c->tx_end = NO_LINK;
  for (unsigned i = 0; i < (unsigned) c->run_rx + c->run_tx; i++)
    {
      bool rx = i < c->run_rx;
      queue_t *q = rx ? c->rx[i] : c->tx[i - c->run_rx];
      event_remove (q->event);
      q->event = NULL;
      queue_lock (q);
      if (rx && (q->num_pending || q->state == QUEUE_UP))
	go_down (q);
      else if (!rx)
	{
	  if (q->state == QUEUE_UP)
	    q->untaken = tx_untaken (q);
	  release (q);
	}
      queue_unlock (q);
    }
  wake_readers (c);
}

void
queues_return_external (conn_t *c)
{
  if (!c->external)
    return;
  const unsigned end = (unsigned) c->num_rx + c->num_tx;
  unsigned i = 0;
  for (queue_t *q; (q = next_made (c, &i, end));)
    {
      queue_lock (q);
      for (unsigned p = 0; p < q->num_pending; p++)
	link_unref (q->pending[p].link);
      q->num_pending = 0;
      release (q);
      queue_unlock (q);
      queue_attention (q);
    }
  /* The last reference: the program is called here and nowhere else. */
  link_unref (c->external);
  c->external = NULL;
}

void
queue_drained (queue_t *q)
{
  release (q);
  if (!q->num_pending)
    return;
  pending_link_t p = q->pending[0];
  q->num_pending--;
  memmove (q->pending, q->pending + 1, q->num_pending * sizeof *q->pending);
  install (q, p.link, p.ring);
  if (p.down)
    {
      q->limit = p.limit;
      q->state = QUEUE_DRAINING;
    }
  else if (q->slave)
    rx_give_back (q, (uint16_t) (q->mask + 1), 0);
}

int
queue_fault (queue_t *q, const char *format, ...)
{
  conn_t *c = q->conn;
  q->fault = FAULT_NEW;
  if (q->state != QUEUE_UP)
    return MEMIF_ERR_MFMSG; /* the link is down already */
  va_list args;
  char text[ERROR_TEXT / 2];
  va_start (args, format);
  text_v (text, sizeof text, format, args);
  va_end (args);
  /* A lock: acquire on taking it, release on giving it back, here and in fault_take. */
  while (atomic_exchange_explicit (&c->fault_lock, 1, memory_order_acquire))
    sched_yield ();
  text_f (c->fault, sizeof c->fault, "%s queue %u: %s", q->rx ? "receive" : "transmit", q->qid, text);
  c->faulty = true;
  atomic_store_explicit (&c->fault_lock, 0, memory_order_release);
  loop_kick (c->sock);
  return MEMIF_ERR_MFMSG;
}

bool
fault_take (conn_t *c, char text[ERROR_TEXT])
{
  while (atomic_exchange_explicit (&c->fault_lock, 1, memory_order_acquire))
    sched_yield ();
  bool faulty = c->faulty;
  c->faulty = false;
  memcpy (text, c->fault, ERROR_TEXT);
  atomic_store_explicit (&c->fault_lock, 0, memory_order_release);
  return faulty;
}

static int
state_of (memif_conn_handle_t conn, uint16_t qid, bool rx, int *state)
{
  queue_t *q = queue_of (conn, qid, rx);
  if (!q || !state)
    return q ? MEMIF_ERR_INVAL_ARG : queue_missing (conn, qid, rx);
  queue_lock (q);
  *state = (int) q->state;
  queue_unlock (q);
  return MEMIF_ERR_SUCCESS;
}

int
memif_ext_rx_state (memif_conn_handle_t conn, uint16_t qid, int *state)
{
  return state_of (conn, qid, true, state);
}

int
memif_ext_tx_state (memif_conn_handle_t conn, uint16_t qid, int *state)
{
  return state_of (conn, qid, false, state);
}

int
memif_ext_link_queues (memif_conn_handle_t conn, uint16_t *rx, uint16_t *tx)
{
  const conn_t *c = conn;
  if (!c || !rx || !tx)
    return c ? MEMIF_ERR_INVAL_ARG : MEMIF_ERR_NOCONN;
  uint16_t rx_end = c->rx_end, tx_end = c->tx_end;
  *rx = rx_end == NO_LINK ? 0 : rx_end;
  *tx = tx_end == NO_LINK ? 0 : tx_end;
  return MEMIF_ERR_SUCCESS;
}
