/* What is known of an interface. */
#define _GNU_SOURCE
#include "control.h"

typedef struct
{
  char *at, *end;
  bool full;
} space_t;

static void *
take (space_t *s, size_t size, size_t align)
{
  uintptr_t at = ((uintptr_t) s->at + align - 1) & ~(uintptr_t) (align - 1);
  if (at > (uintptr_t) s->end || size > (uintptr_t) s->end - at)
    {
      s->full = true;
      return NULL;
    }
  s->at = (char *) at + size;
  return (void *) at;
}

static uint8_t *
put_text (space_t *s, const void *text, size_t field)
{
  size_t len = strnlen (text, field);
  uint8_t *to = take (s, len + 1, 1);
  if (to)
    {
      memcpy (to, text, len);
      to[len] = 0;
    }
  return to;
}

static memif_queue_details_t *
put_queues (space_t *s, queue_t *_Atomic *queues, unsigned count)
{
  memif_queue_details_t *d = take (s, count * sizeof *d, _Alignof (memif_queue_details_t));
  for (unsigned i = 0; d && i < count; i++)
    {
      queue_t *q = queues[i];
      memset (&d[i], 0, sizeof d[i]);
      d[i].qid = q->qid;
      queue_lock (q);
      if (q->state != QUEUE_GONE)
	{
	  desc_t first = desc_read (&q->ring->desc[0]);
	  d[i].region = (uint8_t) first.region;
	  d[i].ring_size = q->mask + 1u;
	  /* Relaxed: to be shown only; nothing is read by them. */
	  d[i].flags = atomic_load_explicit (&q->ring->flags, memory_order_relaxed) & RING_NO_INTERRUPT
			 ? MEMIF_QUEUE_FLAG_POLLING
			 : 0;
	  d[i].head = atomic_load_explicit (&q->ring->head, memory_order_relaxed);
	  d[i].tail = atomic_load_explicit (&q->ring->tail, memory_order_relaxed);
	  /* A master's slots hold lengths of packets once they are in use. */
	  uint32_t size = queue_buffer_size (q);
	  d[i].buffer_size = size > UINT16_MAX ? UINT16_MAX : (uint16_t) size;
	}
      queue_unlock (q);
    }
  return d;
}

int
memif_ext_get_peer (memif_conn_handle_t conn, memif_ext_peer_t *peer)
{
  const conn_t *c = conn;
  if (!c || !c->known_peer)
    return MEMIF_ERR_NOCONN;
  if (!peer)
    return MEMIF_ERR_INVAL_ARG;
  *peer = c->peer;
  return MEMIF_ERR_SUCCESS;
}

int
memif_get_details (memif_conn_handle_t conn, memif_details_t *md, char *buf, ssize_t buflen)
{
  conn_t *c = conn;
  if (!c)
    return MEMIF_ERR_NOCONN;
  if (!md || !buf || buflen < 0)
    return MEMIF_ERR_INVAL_ARG;
  space_t s = { .at = buf, .end = buf + buflen };
  memset (md, 0, sizeof *md);

  md->if_name = put_text (&s, c->args.interface_name, sizeof c->args.interface_name);
  md->inst_name = put_text (&s, c->sock->app_name, sizeof c->sock->app_name);
  md->remote_if_name = put_text (&s, c->remote_if, sizeof c->remote_if);
  md->remote_inst_name = put_text (&s, c->remote_name, sizeof c->remote_name);
  md->id = c->args.interface_id;
  if (c->args.secret[0])
    md->secret = put_text (&s, c->args.secret, sizeof c->args.secret);
  md->role = c->args.is_master ? 0 : 1;
  md->mode = (uint8_t) c->args.mode;
  md->socket_path = put_text (&s, c->sock->path, sizeof c->sock->path);
  md->error = put_text (&s, c->error, sizeof c->error);
  md->link_up_down = c->up;

  unsigned rx = c->up ? c->run_rx : 0, tx = c->up ? c->run_tx : 0;
  unsigned regions = c->up ? c->link->num_regions : 0;
  md->regions = take (&s, regions * sizeof *md->regions, _Alignof (memif_region_details_t));
  for (unsigned i = 0; md->regions && i < regions; i++)
    {
      const region_t *r = &c->link->regions[i];
      md->regions[i] = (memif_region_details_t){ .index = (uint8_t) i,
						 .addr = r->addr,
						 .size = r->size > UINT32_MAX ? UINT32_MAX : (uint32_t) r->size,
						 .fd = r->fd,
						 .is_external = r->external };
    }
  dispatch_begin (c->sock);
  md->rx_queues = put_queues (&s, c->rx, rx);
  md->tx_queues = put_queues (&s, c->tx, tx);
  dispatch_end (c->sock);
  if (s.full)
    return MEMIF_ERR_NOBUF_DET;
  md->regions_num = (uint8_t) (regions > UINT8_MAX ? UINT8_MAX : regions);
  md->rx_queues_num = (uint8_t) rx;
  md->tx_queues_num = (uint8_t) tx;
  return MEMIF_ERR_SUCCESS;
}
