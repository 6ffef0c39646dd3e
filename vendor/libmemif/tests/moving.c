/* Buffers that go from a receive queue to a transmit queue without a copy. */
#define _GNU_SOURCE
#include <string.h>

#include "support.h"

static uint8_t bytes[65536];

/* Packets go back and forth through the slave; their bytes never move. */
static void
echo_without_a_copy (void)
{
  pair_t p = { 0 };
  pair_open (&p, (settings_t){ .log2_ring_size = 4, .buffer_size = 512 });
  memif_buffer_t b[16];
  for (uint32_t round = 0; round < 20000; round++)
    {
      uint16_t n = 0, moved = 0, sent = 0;
      uint16_t length = (uint16_t) (1 + round * 7 % 1500); /* up to three links */
      OK (send_packet (p.master.conn, 0, round, length));
      OK (send_packet (p.master.conn, 0, round + 1, 60));
      OK (memif_rx_burst (p.slave.conn, 0, b, 16, &n));
      void *first = b[0].data;
      OK (memif_buffer_enq_tx (p.slave.conn, 0, b, n, &moved));
      EQUAL (moved, n);
      CHECK (b[0].data == first);
      OK (memif_refill_queue (p.slave.conn, 0, n, 0));
      OK (memif_tx_burst (p.slave.conn, 0, b, n, &sent));
      EQUAL (sent, n);
      EQUAL (receive_packet (p.master.conn, 0, bytes, sizeof bytes), length);
      CHECK (is_pattern (bytes, round, length));
      EQUAL (receive_packet (p.master.conn, 0, bytes, sizeof bytes), 60);
      CHECK (is_pattern (bytes, round + 1, 60));
      /* Packets of its own go between, in the same buffers. */
      cross (&p.slave, &p.master, 0, round, 100);
    }
  pair_close (&p);
}

static void
what_can_t_be_moved (void)
{
  pair_t p = { 0 };
  pair_open (&p, (settings_t){ .log2_ring_size = 2, .buffer_size = 512, .s2m = 2, .m2s = 2 });
  memif_buffer_t b[8], bad;
  uint16_t n = 0, moved = 0;
  for (uint32_t i = 0; i < 4; i++)
    OK (send_packet (p.master.conn, 1, i, 64));
  OK (memif_rx_burst (p.slave.conn, 1, b, 4, &n));
  EQUAL (n, 4);
  /* The other queue has room for three only. */
  OK (send_packet (p.slave.conn, 0, 99, 64));
  FAILS (memif_buffer_enq_tx (p.slave.conn, 0, b, 4, &moved), MEMIF_ERR_NOBUF_RING);
  EQUAL (moved, 3);
  CHECK (b[3].queue != b[2].queue);

  bad = b[3];
  bad.flags = MEMIF_BUFFER_FLAG_NEXT; /* without a next */
  FAILS (memif_buffer_enq_tx (p.slave.conn, 1, &bad, 1, &moved), MEMIF_ERR_INVAL_ARG);
  bad = b[3];
  bad.len = 513;
  FAILS (memif_buffer_enq_tx (p.slave.conn, 1, &bad, 1, &moved), MEMIF_ERR_INVAL_ARG);
  bad = b[3];
  bad.data = bytes;
  FAILS (memif_buffer_enq_tx (p.slave.conn, 1, &bad, 1, &moved), MEMIF_ERR_INVAL_ARG);
  bad = b[3];
  bad.queue = &bad;
  FAILS (memif_buffer_enq_tx (p.slave.conn, 1, &bad, 1, &moved), MEMIF_ERR_INVAL_ARG);
  bad = b[3];
  bad.queue = b[2].queue; /* a queue to send */
  FAILS (memif_buffer_enq_tx (p.slave.conn, 1, &bad, 1, &moved), MEMIF_ERR_INVAL_ARG);
  bad = b[3];
  bad.desc_index = (uint16_t) (bad.desc_index + 1); /* offered, not received */
  FAILS (memif_buffer_requeue (p.slave.conn, &bad, &b[3]), MEMIF_ERR_INVAL_ARG);
  EQUAL (moved, 0);
  FAILS (memif_buffer_enq_tx (p.slave.conn, 2, b, 1, &moved), MEMIF_ERR_QID);
  FAILS (memif_buffer_enq_tx (NULL, 0, b, 1, &moved), MEMIF_ERR_NOCONN);
  FAILS (memif_buffer_enq_tx (p.slave.conn, 0, NULL, 1, &moved), MEMIF_ERR_INVAL_ARG);
  FAILS (memif_buffer_requeue (p.slave.conn, &b[3], NULL), MEMIF_ERR_INVAL_ARG);
  FAILS (memif_buffer_requeue (NULL, &b[3], &b[3]), MEMIF_ERR_NOCONN);

  /* A master owns no buffers. */
  memif_buffer_t m[4];
  OK (memif_rx_burst (p.master.conn, 0, m, 4, &n));
  EQUAL (n, 1);
  FAILS (memif_buffer_enq_tx (p.master.conn, 0, m, 1, &moved), MEMIF_ERR_INVAL_ARG);
  FAILS (memif_buffer_requeue (p.master.conn, m, m), MEMIF_ERR_INVAL_ARG);
  OK (memif_refill_queue (p.master.conn, 0, 1, 0));

  /* What was moved leaves in order. */
  OK (memif_refill_queue (p.slave.conn, 1, 3, 0));
  OK (memif_tx_burst (p.slave.conn, 0, b, 3, &n));
  for (uint32_t i = 0; i < 3; i++)
    {
      EQUAL (receive_packet (p.master.conn, 0, bytes, sizeof bytes), 64);
      CHECK (is_pattern (bytes, i, 64));
    }
  pair_close (&p);
}

static void
swapping (void)
{
  pair_t p = { 0 };
  pair_open (&p, (settings_t){ .log2_ring_size = 3, .buffer_size = 512 });
  memif_buffer_t b[2], r[2];
  uint16_t n = 0;
  for (uint32_t round = 0; round < 2000; round++)
    {
      /* Two reserved ones: each takes the other's place, and goes when that goes. */
      OK (memif_buffer_alloc (p.slave.conn, 0, b, 2, &n, 100));
      pattern (b[0].data, 1, 100);
      pattern (b[1].data, 2, 50);
      b[1].len = 50;
      const memif_buffer_t was[2] = { b[0], b[1] };
      OK (memif_buffer_requeue (p.slave.conn, &b[0], &b[1]));
      CHECK (b[0].data == was[0].data && b[0].len == 100 && b[0].desc_index == was[1].desc_index);
      CHECK (b[1].data == was[1].data && b[1].len == 50 && b[1].desc_index == was[0].desc_index);
      OK (memif_tx_burst (p.slave.conn, 0, &b[1], 1, &n));
      OK (memif_tx_burst (p.slave.conn, 0, &b[0], 1, &n));
      EQUAL (receive_packet (p.master.conn, 0, bytes, sizeof bytes), 50);
      CHECK (is_pattern (bytes, 2, 50));
      EQUAL (receive_packet (p.master.conn, 0, bytes, sizeof bytes), 100);
      CHECK (is_pattern (bytes, 1, 100));

      /* A received one takes a reserved one's place. */
      OK (send_packet (p.master.conn, 0, round, 300));
      OK (memif_rx_burst (p.slave.conn, 0, r, 1, &n));
      OK (memif_buffer_alloc (p.slave.conn, 0, b, 1, &n, 10));
      OK (memif_buffer_requeue (p.slave.conn, &r[0], &b[0]));
      EQUAL (r[0].len, 300);
      OK (memif_refill_queue (p.slave.conn, 0, 1, 0));
      OK (memif_tx_burst (p.slave.conn, 0, r, 1, &n));
      EQUAL (receive_packet (p.master.conn, 0, bytes, sizeof bytes), 300);
      CHECK (is_pattern (bytes, round, 300));
    }
  pair_close (&p);
}

/* Also where its bytes lie in the buffer that the slot has. */
static void
what_is_not_held_can_t_be_moved (void)
{
  pair_t p = { 0 };
  pair_open (&p, (settings_t){ .log2_ring_size = 2, .buffer_size = 512 });
  memif_buffer_t r[2], s[2];
  uint16_t n = 0, moved = 0;
  for (uint32_t i = 0; i < 2; i++)
    OK (send_packet (p.master.conn, 0, i, 64));
  OK (memif_rx_burst (p.slave.conn, 0, r, 2, &n));
  EQUAL (n, 2);
  OK (memif_refill_queue (p.slave.conn, 0, 1, 0)); /* the first is offered again */
  FAILS (memif_buffer_enq_tx (p.slave.conn, 0, &r[0], 1, &moved), MEMIF_ERR_INVAL_ARG);
  FAILS (memif_buffer_requeue (p.slave.conn, &r[0], &r[1]), MEMIF_ERR_INVAL_ARG);
  OK (memif_buffer_alloc (p.slave.conn, 0, s, 2, &n, 64));
  OK (memif_tx_burst (p.slave.conn, 0, s, 1, &n)); /* the first is the peer's */
  FAILS (memif_buffer_requeue (p.slave.conn, &s[0], &s[1]), MEMIF_ERR_INVAL_ARG);
  FAILS (memif_buffer_requeue (p.slave.conn, &s[1], &s[0]), MEMIF_ERR_INVAL_ARG);
  OK (memif_set_next_free_buffer (p.slave.conn, 0, &s[1])); /* and now the second is nobody's */
  FAILS (memif_buffer_requeue (p.slave.conn, &s[1], &r[1]), MEMIF_ERR_INVAL_ARG);
  FAILS (memif_buffer_requeue (p.slave.conn, &r[1], &s[1]), MEMIF_ERR_INVAL_ARG);
  pair_close (&p);
}

int
main (int argc, char **argv)
{
  static const test_t tests[] = {
    { "echo_without_a_copy", echo_without_a_copy },
    { "what_can_t_be_moved", what_can_t_be_moved },
    { "swapping", swapping },
    { "what_is_not_held_can_t_be_moved", what_is_not_held_can_t_be_moved },
  };
  return RUN (argc, argv, tests);
}
