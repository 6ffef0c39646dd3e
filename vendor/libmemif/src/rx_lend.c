/* Receiving without a copy: packets are lent, and their reader has copied out of them what it
 * wants. The peer may write to them meanwhile. What is lent is checked once, into private memory,
 * and checked against the memory again at each copy; nobody gets an address. */
#define _GNU_SOURCE
#include "control.h"
#include "rx.h"

/* The buffers of whole packets. NOBUF: the next packet has more than count of them. */
static int
lend (queue_t *q, memif_ext_lent_t *bufs, uint16_t count, uint16_t *lent)
{
  queue_heed (q);
  if (q->state == QUEUE_UP && !q->slave && q->next != q->done)
    return MEMIF_ERR_INVAL_ARG; /* some are lent */
  if (q->peer == q->next || q->armed || q->fault != FAULT_NONE)
    {
      int err = MEMIF_ERR_SUCCESS;
      if (rx_look (q, &err) <= 0)
	return err;
    }

  uint16_t first = q->next, at = first, whole = first;
  bool unfinished = false;
  while (at != q->peer && (uint16_t) (at - first) < count)
    {
      const desc_t d = desc_read (&q->ring->desc[at & q->mask]);
      const bool more = d.flags & DESC_NEXT;
      if (!rx_received_at (q, at, &d))
	{
	  rx_bad_descriptor (q, at, &d);
	  break;
	}
      bufs[(uint16_t) (at - first)] = (memif_ext_lent_t){
	.offset = d.offset, .length = d.length, .region = d.region, .more = more
      };
      at++;
      if (!more)
	whole = at;
      else if (at == q->peer)
	{
	  unfinished = true;
	  rx_chain_unfinished (q, whole); /* which may set q->peer back */
	  break;
	}
    }
  const bool too_few = !unfinished && whole == first && at != q->peer && (uint16_t) (at - first) == count;
  if (__builtin_expect (q->fault == FAULT_OVERRUN, 0) && rx_overwritten (q, (uint16_t) (whole - first)))
    {
      q->next = whole;
      if (q->state == QUEUE_UP)
	rx_give_back (q, (uint16_t) (whole - first), 0);
      return MEMIF_ERR_SUCCESS;
    }
  q->next = whole;
  *lent = (uint16_t) (whole - first);
  if (*lent == 0 && q->fault == FAULT_NEW)
    {
      q->fault = FAULT_TOLD;
      return MEMIF_ERR_MFMSG;
    }
  return too_few ? MEMIF_ERR_NOBUF : MEMIF_ERR_SUCCESS;
}

int
memif_ext_rx_lend (memif_conn_handle_t conn, uint16_t qid, memif_ext_lent_t *bufs, uint16_t count,
		   uint16_t *lent, uint32_t *link)
{
  queue_t *q = queue_of (conn, qid, true);
  if (!q)
    return queue_missing (conn, qid, true);
  if (!bufs || !count || !lent || !link)
    return MEMIF_ERR_INVAL_ARG;
  *lent = 0;
  queue_enter (q);
  int err = lend (q, bufs, count, lent);
  *link = q->number;
  queue_leave (q);
  return err;
}

int
memif_ext_rx_return (memif_conn_handle_t conn, uint16_t qid, uint32_t link, uint16_t count)
{
  queue_t *q = queue_of (conn, qid, true);
  if (!q)
    return queue_missing (conn, qid, true);
  queue_enter (q);
  if (q->number == link && q->state == QUEUE_UP)
    {
      for (uint16_t n = 0; n < count; n++)
	if (desc_read (&q->ring->desc[(uint16_t) (q->next - count + n) & q->mask]).flags & DESC_NEXT)
	  {
	    rx_clear_chain (q, (uint16_t) (q->next - count), q->next);
	    break;
	  }
      rx_give_back (q, count, 0);
    }
  else if (q->number == link && q->state == QUEUE_DRAINING && q->next == q->limit && q->fault < FAULT_NEW)
    queue_drained (q);
  queue_leave (q);
  return MEMIF_ERR_SUCCESS;
}

int
memif_ext_rx_read (memif_conn_handle_t conn, uint16_t qid, uint32_t link, const memif_ext_lent_t *buf,
		   uint32_t from, uint8_t *to, uint32_t length)
{
  queue_t *q = queue_of (conn, qid, true);
  if (!q)
    return queue_missing (conn, qid, true);
  if (!buf || !to || from > buf->length || length > buf->length - from)
    return MEMIF_ERR_INVAL_ARG;
  queue_enter (q);
  /* The memory may have gone with the link, or be that of another. */
  const uint8_t *at = q->number == link ? buffer_at (q, buf->region, buf->offset, buf->length) : NULL;
  if (at)
    copy_bytes (to, at + from, length);
  queue_leave (q);
  return at ? MEMIF_ERR_SUCCESS : MEMIF_ERR_DISCONNECTED;
}
