/* Buffers that change their places without a copy: a slave owns them all. */
#define _GNU_SOURCE
#include "control.h"
#include "tx.h"

/* The slots that the program holds: received and not given back, or reserved and not sent. */
static bool
holds (const queue_t *q, uint16_t slot)
{
  if (!q->rx)
    return (uint16_t) (slot - q->done) < (uint16_t) (q->next - q->done);
  const uint16_t offered = (uint16_t) (q->done - q->next);
  return (uint16_t) (q->next - 1 - slot) < (uint16_t) (q->mask + 1 - offered);
}

/* Whether the program's bytes lie in the buffer of its slot. */
static bool
lies_inside (const queue_t *q, const memif_buffer_t *b)
{
  const size_t into = (size_t) ((const uint8_t *) b->data - own_buffer (q, b->desc_index));
  return into <= q->buffer_size && b->len <= q->buffer_size - into;
}

static own_t *
own_at (queue_t *q, uint16_t slot)
{
  return &q->own[slot & q->own_mask];
}

/* One of the interface's queues, or NULL: the pointer comes from the program's buffer. */
static queue_t *
queue_named (conn_t *c, const void *named)
{
  for (unsigned i = 0; named && i < (unsigned) c->num_rx + c->num_tx; i++)
    {
      queue_t *q = c->rx[i];
      if (q == named)
	return q;
    }
  return NULL;
}

/* Moves a received buffer into the next slot; that one's buffer takes its place. */
static void
move (queue_t *q, queue_t *from, memif_buffer_t *b)
{
  own_t *received = own_at (from, b->desc_index), *next = own_at (q, q->next);
  const own_t spare = q->spare[--q->num_spare];
  *next = spare;
  if (own_region (*received) == q->base_region)
    {
      *next = *received;
      *received = spare;
    }
  else
    {
      /* With more than 4 GiB of buffers they may lie in different regions. */
      uint8_t *to = own_buffer (q, q->next);
      memcpy (to, b->data, b->len);
      b->data = to;
    }
  b->desc_index = q->next++;
  b->queue = q;
}

/* Moves one packet. */
static int
enqueue (queue_t *q, queue_t *from, memif_buffer_t *bufs, uint16_t left, uint16_t *moved)
{
  uint16_t links = 0;
  do
    {
      const memif_buffer_t *b = &bufs[links];
      if (links == left || b->queue != from || !holds (from, b->desc_index) || !lies_inside (from, b))
	return MEMIF_ERR_INVAL_ARG;
    }
  while (bufs[links++].flags & MEMIF_BUFFER_FLAG_NEXT);
  int free_slots = tx_free_slots (q);
  if (free_slots < 0)
    {
      q->fault = FAULT_TOLD;
      return MEMIF_ERR_MFMSG;
    }
  if (links > free_slots)
    return MEMIF_ERR_NOBUF_RING;
  for (uint16_t i = 0; i < links; i++)
    move (q, from, &bufs[i]);
  tx_at_once (q, (uint16_t) (q->next - q->done));
  *moved = (uint16_t) (*moved + links);
  return MEMIF_ERR_SUCCESS;
}

int
memif_buffer_enq_tx (memif_conn_handle_t conn, uint16_t qid, memif_buffer_t *bufs, uint16_t count,
		     uint16_t *count_out)
{
  conn_t *c = conn;
  queue_t *q = queue_of (c, qid, false);
  int err = MEMIF_ERR_SUCCESS;
  if (!c)
    return MEMIF_ERR_NOCONN;
  if (!q)
    return queue_missing (conn, qid, false);
  if (!bufs || !count_out || c->args.is_master)
    return MEMIF_ERR_INVAL_ARG;
  *count_out = 0;
  queue_enter (q);
  while (*count_out < count && !err)
    {
      memif_buffer_t *b = &bufs[*count_out];
      queue_t *from = queue_named (c, b->queue);
      if (!from || !from->rx)
	{
	  err = MEMIF_ERR_INVAL_ARG;
	  break;
	}
      queue_enter (from);
      if (q->state != QUEUE_UP || from->state != QUEUE_UP || from->link != q->link)
	err = MEMIF_ERR_DISCONNECTED;
      else
	err = enqueue (q, from, b, (uint16_t) (count - *count_out), count_out);
      queue_leave (from);
    }
  queue_leave (q);
  return err;
}

static int
swap (queue_t *qa, queue_t *qb, memif_buffer_t *a, memif_buffer_t *b)
{
  if (qa->state != QUEUE_UP || qb->state != QUEUE_UP || qa->link != qb->link)
    return MEMIF_ERR_DISCONNECTED;
  if (!holds (qa, a->desc_index) || !holds (qb, b->desc_index) || !lies_inside (qa, a)
      || !lies_inside (qb, b))
    return MEMIF_ERR_INVAL_ARG;
  own_t *own_a = own_at (qa, a->desc_index), *own_b = own_at (qb, b->desc_index);
  /* A queue that sends has all its buffers in one region. */
  if (own_region (*own_a) != own_region (*own_b) && !(qa->rx && qb->rx))
    return MEMIF_ERR_INVAL_ARG;
  const own_t own = *own_a;
  *own_a = *own_b;
  *own_b = own;
  /* Each keeps its data, and is called by its new place. */
  const memif_buffer_t was = *a;
  a->desc_index = b->desc_index;
  a->queue = b->queue;
  b->desc_index = was.desc_index;
  b->queue = was.queue;
  return MEMIF_ERR_SUCCESS;
}

int
memif_buffer_requeue (memif_conn_handle_t conn, memif_buffer_t *buf_a, memif_buffer_t *buf_b)
{
  conn_t *c = conn;
  if (!c)
    return MEMIF_ERR_NOCONN;
  if (!buf_a || !buf_b || c->args.is_master)
    return MEMIF_ERR_INVAL_ARG;
  queue_t *qa = queue_named (c, buf_a->queue), *qb = queue_named (c, buf_b->queue);
  if (!qa || !qb)
    return MEMIF_ERR_INVAL_ARG;
  queue_enter (qa);
  if (qb != qa)
    queue_enter (qb);
  int err = swap (qa, qb, buf_a, buf_b);
  if (qb != qa)
    queue_leave (qb);
  queue_leave (qa);
  return err;
}

int
memif_set_next_free_buffer (memif_conn_handle_t conn, uint16_t qid, memif_buffer_t *buf)
{
  queue_t *q = queue_of (conn, qid, false);
  int err = MEMIF_ERR_SUCCESS;
  if (!conn)
    return MEMIF_ERR_NOCONN;
  if (!q)
    return queue_missing (conn, qid, false);
  if (!buf)
    return MEMIF_ERR_INVAL_ARG;
  queue_enter (q);
  if (q->state != QUEUE_UP)
    err = MEMIF_ERR_DISCONNECTED;
  else if (buf->queue != q || (uint16_t) (buf->desc_index - q->done) > (uint16_t) (q->next - q->done))
    err = MEMIF_ERR_INVAL_ARG;
  /* From the last to the first, so they are reserved again in the same order. */
  while (!err && q->next != buf->desc_index)
    {
      q->next--;
      if (!q->slave)
	continue;
      const own_t b = *own_at (q, q->next);
      if (!own_small (b))
	q->spare[q->num_spare++] = b;
    }
  queue_leave (q);
  return err;
}
