/* Who calls something of a queue waits for whoever is in it, or has it locked.
 *
 * That somebody is played here: the core's own lock.c runs, and where it would wait for the other
 * it comes to this file, which notes it and lets it go on. No second thread is needed. */
#define _GNU_SOURCE
#include <sched.h>
#include <stdio.h>

#include "support.h"

#include "control.h"

int door_opens (void);
#define queue_wait_gate core_wait_gate
#define sched_yield door_opens
#include "../src/lock.c"
#undef queue_wait_gate
#undef sched_yield

static queue_t *owned; /* its owner is in it */
static int waits;

/* The owner leaves. */
int
door_opens (void)
{
  waits++;
  atomic_store (&owned->busy, false);
  return 0;
}

/* Whoever has locked it gives it back. */
void
queue_wait_gate (queue_t *q)
{
  waits++;
  atomic_store (&q->gate, false);
}

enum { RX = 1, TX = 2 };

/* What a call has to wait for, and the conn that it is made of. */
static memif_conn_handle_t conn;
static memif_buffer_t bufs[2];
static memif_ext_lent_t lent;
static uint8_t bytes[4096];
static uint16_t number;

static void
ext_rx_burst (void)
{
  memif_ext_packet_t packet;
  memif_ext_rx_burst (conn, 0, bytes, sizeof bytes, 64, &packet, 1, &number);
}

static void
rx_burst (void)
{
  memif_rx_burst (conn, 0, bufs, 1, &number);
}

static void
refill_queue (void)
{
  memif_refill_queue (conn, 0, 0, 0);
}

static void
rx_lend (void)
{
  uint32_t link;
  memif_ext_rx_lend (conn, 0, &lent, 1, &number, &link);
}

static void
rx_return (void)
{
  memif_ext_rx_return (conn, 0, 0, 0);
}

static void
rx_read (void)
{
  memif_ext_rx_read (conn, 0, 0, &lent, 0, bytes, 0);
}

static void
rx_wait (void)
{
  int result;
  memif_ext_rx_wait (conn, 0, 0, 0, 0, &result);
}

static void
buffer_alloc (void)
{
  memif_buffer_alloc (conn, 0, bufs, 0, &number, 64);
}

static void
tx_burst (void)
{
  memif_tx_burst (conn, 0, bufs, 0, &number);
}

static void
buffer_enq_tx (void)
{
  bufs[0].queue = ((conn_t *) conn)->rx[0];
  memif_buffer_enq_tx (conn, 0, bufs, 1, &number);
}

static void
buffer_requeue (void)
{
  bufs[0].queue = ((conn_t *) conn)->rx[0];
  bufs[1].queue = ((conn_t *) conn)->tx[0];
  memif_buffer_requeue (conn, &bufs[0], &bufs[1]);
}

static void
set_next_free_buffer (void)
{
  memif_set_next_free_buffer (conn, 0, bufs);
}

static void
ext_tx_burst (void)
{
  const memif_ext_slice_t slice = { bytes, 64 };
  memif_ext_tx_burst (conn, 0, &slice, 1, &number);
}

static void
tx_fits (void)
{
  memif_ext_tx_fits (conn, 0, 64);
}

static void
tx_free (void)
{
  memif_ext_tx_free (conn, 0, &number);
}

static void
tx_room (void)
{
  uint32_t size;
  memif_ext_tx_room (conn, 0, &size, &number);
}

/* The calls of the queue's owner. */
static const struct
{
  const char *name;
  void (*call) (void);
  int of;
} of_owner[] = {
  { "ext_rx_burst", ext_rx_burst, RX },
  { "rx_burst", rx_burst, RX },
  { "refill_queue", refill_queue, RX },
  { "rx_lend", rx_lend, RX },
  { "rx_return", rx_return, RX },
  { "rx_read", rx_read, RX },
  { "rx_wait", rx_wait, RX },
  { "buffer_alloc", buffer_alloc, TX },
  { "tx_burst", tx_burst, TX },
  { "buffer_enq_tx", buffer_enq_tx, RX | TX },
  { "buffer_requeue", buffer_requeue, RX | TX },
  { "set_next_free_buffer", set_next_free_buffer, TX },
  { "ext_tx_burst", ext_tx_burst, TX },
  { "tx_fits", tx_fits, TX },
  { "tx_free", tx_free, TX },
  { "tx_room", tx_room, TX },
};

static queue_t *
queue_at (memif_conn_handle_t of, int which)
{
  conn_t *c = of;
  return which == RX ? c->rx[0] : c->tx[0];
}

static const settings_t settings = { .log2_ring_size = 4, .ext = { .keep_unread = 1 } };

static void
the_owner_waits_for_who_has_locked_it (void)
{
  pair_t p = { 0 };
  pair_open (&p, settings);
  conn = p.slave.conn;
  OK (memif_ext_rx_prepare (conn, 0));
  for (size_t i = 0; i < sizeof of_owner / sizeof *of_owner; i++)
    for (int which = RX; which <= TX; which++)
      {
	queue_t *q = queue_at (conn, which);
	waits = 0;
	atomic_store (&q->gate, true);
	of_owner[i].call ();
	if (waits != ((of_owner[i].of & which) != 0))
	  failed (__FILE__, __LINE__, of_owner[i].name);
	atomic_store (&q->gate, false);
	CHECK (!q->busy); /* and it has left again */
      }
  pair_close (&p);
}

static void
set_rx_mode (void)
{
  OK (memif_set_rx_mode (conn, MEMIF_RX_MODE_POLLING, 0));
}

static void
get_queue_efd (void)
{
  int fd;
  OK (memif_get_queue_efd (conn, 0, &fd));
}

static void
rx_prepare (void)
{
  OK (memif_ext_rx_prepare (conn, 0));
}

static void
rx_fd (void)
{
  int fd;
  OK (memif_ext_rx_fd (conn, 0, &fd));
}

static void
rx_state (void)
{
  int state;
  OK (memif_ext_rx_state (conn, 0, &state));
}

static void
tx_state (void)
{
  int state;
  OK (memif_ext_tx_state (conn, 0, &state));
}

static void
tx_pending (void)
{
  OK (memif_ext_tx_pending (conn, 0, &number));
}

static void
tx_lot (void)
{
  OK (memif_ext_tx_lot (conn, 0, &number));
}

static void
tx_offered (void)
{
  int offered;
  OK (memif_ext_tx_offered (conn, 0, &offered));
}

static void
get_details (void)
{
  memif_details_t d;
  OK (memif_get_details (conn, &d, (char *) bytes, sizeof bytes));
}

/* Those that any thread may make. */
static const struct
{
  const char *name;
  void (*call) (void);
  int of;
} of_others[] = {
  { "set_rx_mode", set_rx_mode, RX },
  { "get_queue_efd", get_queue_efd, RX },
  { "rx_prepare", rx_prepare, RX },
  { "rx_fd", rx_fd, RX },
  { "rx_state", rx_state, RX },
  { "tx_state", tx_state, TX },
  { "tx_pending", tx_pending, TX },
  { "tx_lot", tx_lot, TX },
  { "tx_offered", tx_offered, TX },
  { "get_details", get_details, RX | TX },
};

static void
others_wait_for_the_owner (void)
{
  for (size_t i = 0; i < sizeof of_others / sizeof *of_others; i++)
    for (int which = RX; which <= TX; which++)
      {
	pair_t p = { 0 };
	pair_open (&p, settings);
	conn = p.slave.conn;
	owned = queue_at (conn, which);
	waits = 0;
	atomic_store (&owned->busy, true);
	of_others[i].call ();
	if (waits != ((of_others[i].of & which) != 0))
	  failed (__FILE__, __LINE__, of_others[i].name);
	atomic_store (&owned->busy, false);
	CHECK (!owned->gate);
	pair_close (&p);
      }
}

/* The control thread, which gives a queue its link and takes it away. */
static void
links_wait_for_the_owner (void)
{
  for (int master = 0; master < 2; master++)
    for (int which = RX; which <= TX; which++)
      {
	pair_t p = { 0 };
	const char *path = fresh_path ();
	side_open (&p.master, path, true, settings);
	side_open (&p.slave, path, false, settings);
	side_t *side = master ? &p.master : &p.slave, *other = master ? &p.slave : &p.master;
	int state = -1;
	OK (memif_ext_rx_state (side->conn, 0, &state)); /* makes it */
	EQUAL (state, MEMIF_EXT_QUEUE_GONE);
	OK (memif_ext_tx_state (side->conn, 0, &state));
	EQUAL (state, MEMIF_EXT_QUEUE_GONE);
	owned = queue_at (side->conn, which);
	waits = 0;
	atomic_store (&owned->busy, true);
	pair_up (&p);
	EQUAL (waits, 1);
	atomic_store (&owned->busy, true);
	OK (memif_delete (&other->conn));
	while (!side->downs)
	  OK (memif_poll_event (side->sock, 10));
	EQUAL (waits, 2);
	OK (memif_delete_socket (&other->sock));
	side_close (side);
      }
}

int
main (int argc, char **argv)
{
  static const test_t tests[] = {
    { "the_owner_waits_for_who_has_locked_it", the_owner_waits_for_who_has_locked_it },
    { "others_wait_for_the_owner", others_wait_for_the_owner },
    { "links_wait_for_the_owner", links_wait_for_the_owner },
  };
  return RUN (argc, argv, tests);
}
