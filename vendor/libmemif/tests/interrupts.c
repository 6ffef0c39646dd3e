/* Receive modes and interrupts: who is woken, and that nobody is forgotten. */
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "support.h"

static uint8_t bytes[65536];

static bool
readable (int fd)
{
  struct pollfd p = { .fd = fd, .events = POLLIN };
  return poll (&p, 1, 0) == 1;
}

static int
efd_of (memif_conn_handle_t conn, uint16_t qid)
{
  int fd = -1;
  OK (memif_get_queue_efd (conn, qid, &fd));
  return fd;
}

static int
count_interrupt (memif_conn_handle_t conn, void *ctx, uint16_t qid)
{
  side_t *side = ctx;
  side->interrupts[qid]++;
  while (receive_packet (conn, qid, bytes, sizeof bytes) >= 0)
    ;
  return 0;
}

/* Only the queue that a packet came on is told of, on both sides. */
static void
each_queue_has_its_interrupt (void)
{
  pair_t p = { 0 };
  pair_open (&p, (settings_t){ .log2_ring_size = 4, .s2m = 4, .m2s = 3, .on_interrupt = count_interrupt });
  for (uint16_t round = 0; round < 200; round++)
    {
      uint16_t down = round % 3, up = round % 4;
      unsigned before[2] = { p.slave.interrupts[down], p.master.interrupts[up] };
      OK (send_packet (p.master.conn, down, round, 64));
      OK (send_packet (p.slave.conn, up, round, 64));
      while (p.slave.interrupts[down] == before[0] || p.master.interrupts[up] == before[1])
	pair_turn (&p);
    }
  pair_turn (&p);
  unsigned master = 0, slave = 0;
  for (int i = 0; i < 16; i++)
    {
      master += p.master.interrupts[i];
      slave += p.slave.interrupts[i];
    }
  EQUAL (master, 200);
  EQUAL (slave, 200);
  pair_close (&p);
}

/* Interrupt and polling in all four combinations of the two sides. */
static void
four_combinations (void)
{
  for (int modes = 0; modes < 4; modes++)
    {
      pair_t p = { 0 };
      memif_rx_mode_t of_master = (memif_rx_mode_t) (modes & 1), of_slave = (memif_rx_mode_t) (modes >> 1);
      pair_open (&p, (settings_t){ .log2_ring_size = 4 });
      OK (memif_set_rx_mode (p.master.conn, of_master, 0));
      OK (memif_set_rx_mode (p.slave.conn, of_slave, 0));
      side_t *sides[2] = { &p.master, &p.slave };
      for (uint32_t i = 0; i < 500; i++)
	for (int to = 0; to < 2; to++)
	  {
	    bool polling = to ? of_slave : of_master;
	    int fd = efd_of (sides[to]->conn, 0);
	    CHECK (!readable (fd));
	    OK (send_packet (sides[!to]->conn, 0, i, 100));
	    EQUAL (readable (fd), !polling);
	    EQUAL (receive_packet (sides[to]->conn, 0, bytes, sizeof bytes), 100);
	    CHECK (is_pattern (bytes, i, 100));
	    CHECK (!readable (fd));
	  }
      pair_close (&p);
    }
}

static void
the_mode_may_change (void)
{
  pair_t p = { 0 };
  pair_open (&p, (settings_t){ .log2_ring_size = 4 });
  int fd = efd_of (p.master.conn, 0);
  OK (memif_set_rx_mode (p.master.conn, MEMIF_RX_MODE_POLLING, 0));
  OK (send_packet (p.slave.conn, 0, 1, 10));
  CHECK (!readable (fd));
  /* What had come meanwhile is told of. */
  OK (memif_set_rx_mode (p.master.conn, MEMIF_RX_MODE_INTERRUPT, 0));
  CHECK (readable (fd));
  /* Polling again: nothing is left to wake anybody. */
  OK (memif_set_rx_mode (p.master.conn, MEMIF_RX_MODE_POLLING, 0));
  CHECK (!readable (fd));
  EQUAL (receive_packet (p.master.conn, 0, bytes, sizeof bytes), 10);
  FAILS (memif_set_rx_mode (p.master.conn, MEMIF_RX_MODE_POLLING, 1), MEMIF_ERR_QID);
  FAILS (memif_set_rx_mode (p.master.conn, (memif_rx_mode_t) 2, 0), MEMIF_ERR_INVAL_ARG);
  FAILS (memif_set_rx_mode (NULL, MEMIF_RX_MODE_POLLING, 0), MEMIF_ERR_NOCONN);
  FAILS (memif_get_queue_efd (p.master.conn, 1, &fd), MEMIF_ERR_QID);
  pair_close (&p);
}

/* A reader that takes a part only is woken again for the rest. */
static void
the_rest_wakes_again (void)
{
  pair_t p = { 0 };
  pair_open (&p, (settings_t){ .log2_ring_size = 6 });
  int fd = efd_of (p.master.conn, 0);
  memif_buffer_t b[16];
  uint16_t n = 0, left = 50;
  for (uint32_t i = 0; i < 50; i++)
    OK (send_packet (p.slave.conn, 0, i, 10));
  while (left)
    {
      CHECK (readable (fd));
      int err = memif_rx_burst (p.master.conn, 0, b, 16, &n);
      EQUAL (err, left > 16 ? MEMIF_ERR_NOBUF : MEMIF_ERR_SUCCESS);
      OK (memif_refill_queue (p.master.conn, 0, n, 0));
      left = (uint16_t) (left - n);
    }
  CHECK (!readable (fd));
  pair_close (&p);
}

static void
raise_late (int efd)
{
  uint64_t one = 1;
  EQUAL (write (efd, &one, sizeof one), (long) sizeof one);
}

static long
receive_copy (memif_conn_handle_t conn)
{
  memif_ext_packet_t packet;
  uint16_t n = 0;
  OK (memif_ext_rx_burst (conn, 0, bytes, sizeof bytes, sizeof bytes, &packet, 1, &n));
  return n ? (long) packet.length : -1;
}

/* A program that polls a descriptor itself and copies its packets: the event
 * goes, also one that comes late, for packets read before. */
static void
what_is_polled_does_not_stay_readable (void)
{
  pair_t p = { 0 };
  pair_open (&p, (settings_t){ .log2_ring_size = 4, .ext = { .keep_unread = 1 } });
  memif_conn_handle_t conn = p.master.conn;
  int efd = efd_of (conn, 0), fd = -1, result = -1;
  for (uint32_t i = 0; i < 100; i++)
    {
      OK (send_packet (p.slave.conn, 0, i, 100));
      CHECK (readable (efd));
      EQUAL (receive_copy (conn), 100);
      EQUAL (receive_copy (conn), -1);
      CHECK (!readable (efd));
    }
  OK (memif_ext_rx_fd (conn, 0, &fd));
  while (receive_copy (conn) >= 0 || readable (fd))
    OK (memif_ext_rx_wait (conn, 0, 0, 0, 0, &result)); /* the link's coming up is an event too */
  for (uint32_t i = 0; i < 100; i++)
    {
      raise_late (efd);
      CHECK (readable (fd));
      OK (memif_ext_rx_wait (conn, 0, 0, 0, 0, &result));
      EQUAL (result, MEMIF_EXT_WAIT_TIMED_OUT);
      CHECK (!readable (fd));
      OK (send_packet (p.slave.conn, 0, i, 100));
      CHECK (readable (fd));
      OK (memif_ext_rx_wait (conn, 0, 0, 0, 0, &result));
      EQUAL (result, MEMIF_EXT_WAIT_READY);
      EQUAL (receive_copy (conn), 100);
      OK (memif_ext_rx_wait (conn, 0, 0, 0, 0, &result));
      EQUAL (result, MEMIF_EXT_WAIT_TIMED_OUT);
    }
  pair_close (&p);
}

/* A wait of the extension, then a burst of 4.0: the descriptor tells of the next packet all the same. */
static void
a_wait_and_a_burst_in_place_may_be_mixed (void)
{
  pair_t p = { 0 };
  pair_open (&p, (settings_t){ .log2_ring_size = 4, .ext = { .keep_unread = 1 } });
  memif_conn_handle_t conn = p.master.conn;
  int efd = efd_of (conn, 0), result = -1;
  for (uint32_t i = 0; i < 100; i++)
    {
      OK (send_packet (p.slave.conn, 0, i, 100));
      CHECK (readable (efd));
      OK (memif_ext_rx_wait (conn, 0, 0, 0, 0, &result));
      EQUAL (result, MEMIF_EXT_WAIT_READY);
      EQUAL (receive_packet (conn, 0, bytes, sizeof bytes), 100);
      CHECK (is_pattern (bytes, i, 100));
      EQUAL (receive_packet (conn, 0, bytes, sizeof bytes), -1);
      CHECK (!readable (efd));
    }
  pair_close (&p);
}

int
main (int argc, char **argv)
{
  static const test_t tests[] = {
    { "each_queue_has_its_interrupt", each_queue_has_its_interrupt },
    { "four_combinations", four_combinations },
    { "the_mode_may_change", the_mode_may_change },
    { "the_rest_wakes_again", the_rest_wakes_again },
    { "what_is_polled_does_not_stay_readable", what_is_polled_does_not_stay_readable },
    { "a_wait_and_a_burst_in_place_may_be_mixed", a_wait_and_a_burst_in_place_may_be_mixed },
  };
  return RUN (argc, argv, tests);
}
