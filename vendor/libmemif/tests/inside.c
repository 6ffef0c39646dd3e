/* What a peer can't be made to do by the calls of the library: the core's own memory is changed. */
#define _GNU_SOURCE
#include <stdio.h>

#include "support.h"

#include "control.h"

static uint8_t bytes[4096];

/* Buffers come back slot by slot; those of a counter that goes back would be given out twice. */
static void
a_senders_counter_does_not_go_back (void)
{
  pair_t p = { 0 };
  pair_open (&p, (settings_t){ .log2_ring_size = 4 });
  for (uint32_t i = 0; i < 5; i++)
    cross (&p.slave, &p.master, 0, i, 64);
  queue_t *q = &((conn_t *) p.slave.conn)->tx[0];
  EQUAL (atomic_load (&q->ring->tail), 5);
  EQUAL (tx_free_slots (q), 16);
  atomic_store (&q->ring->tail, 3);
  EQUAL (tx_free_slots (q), -1);
  pair_close (&p);
}

/* The peer's pool goes on using it: nothing is read there once the link is down. */
static void
unsealed_memory_of_a_waiting_link_is_left (void)
{
  for (int unsealed = 0; unsealed < 2; unsealed++)
    {
      pair_t p = { 0 };
      settings_t settings = { .log2_ring_size = 4, .ext = { .keep_unread = 1 } };
      pair_open (&p, settings);
      conn_t *master = p.master.conn;
      char path[108];
      snprintf (path, sizeof path, "%s", master->sock->path);
      /* The packet of the first link is not read, so that the second waits behind it. */
      for (uint32_t link = 1; link <= 2; link++)
	{
	  OK (send_packet (p.slave.conn, 0, link, 64));
	  queue_t *q = &master->rx[0];
	  EQUAL (q->num_pending, link - 1);
	  if (link == 2)
	    q->pending[0].link->unsealed = unsealed;
	  side_close (&p.slave);
	  while (p.master.downs < (int) link)
	    OK (memif_poll_event (p.master.sock, 10));
	  side_open (&p.slave, path, false, settings);
	  if (link == 1)
	    pair_up (&p);
	}
      EQUAL (receive_packet (p.master.conn, 0, bytes, sizeof bytes), 64);
      CHECK (is_pattern (bytes, 1, 64));
      EQUAL (receive_packet (p.master.conn, 0, bytes, sizeof bytes), unsealed ? -1 : 64);
      pair_close (&p);
    }
}

int
main (int argc, char **argv)
{
  static const test_t tests[] = {
    { "a_senders_counter_does_not_go_back", a_senders_counter_does_not_go_back },
    { "unsealed_memory_of_a_waiting_link_is_left", unsealed_memory_of_a_waiting_link_is_left },
  };
  return RUN (argc, argv, tests);
}
