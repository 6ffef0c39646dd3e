/* Buffers of the 4.0 calls: reserving, chains, headroom. */
#define _GNU_SOURCE
#include <string.h>

#include "support.h"

static uint8_t bytes[65536];

/* One packet fits nowhere else: count 1, but as many links as it takes. */
static void
chains_of_one_packet (void)
{
  pair_t p = { 0 };
  pair_open (&p, (settings_t){ .log2_ring_size = 4, .buffer_size = 512 });
  for (uint32_t i = 0; i < 200; i++)
    {
      cross (&p.slave, &p.master, 0, i, (uint16_t) (1 + i * 37 % 8192));
      cross (&p.master, &p.slave, 0, i, (uint16_t) (1 + i * 41 % 8192));
    }
  /* Whole ring, and one byte more. */
  cross (&p.slave, &p.master, 0, 7, 16 * 512);
  FAILS (send_packet (p.slave.conn, 0, 8, 16 * 512 + 1), MEMIF_ERR_NOBUF_RING);
  cross (&p.slave, &p.master, 0, 9, 511);
  pair_close (&p);
}

static void
short_counts (void)
{
  pair_t p = { 0 };
  pair_open (&p, (settings_t){ .log2_ring_size = 3, .buffer_size = 128 });
  memif_buffer_t b[16];
  uint16_t n = 0, sent = 0;
  /* Packets of three links in an array of eight: two whole ones. */
  FAILS (memif_buffer_alloc (p.slave.conn, 0, b, 8, &n, 300), MEMIF_ERR_NOBUF_RING);
  EQUAL (n, 6);
  OK (memif_set_next_free_buffer (p.slave.conn, 0, &b[0]));
  FAILS (memif_buffer_alloc (p.slave.conn, 0, b, 16, &n, 100), MEMIF_ERR_NOBUF_RING);
  EQUAL (n, 8);
  OK (memif_tx_burst (p.slave.conn, 0, b, n, &sent));
  EQUAL (sent, 8);
  FAILS (memif_buffer_alloc (p.slave.conn, 0, b, 1, &n, 100), MEMIF_ERR_NOBUF_RING);
  EQUAL (n, 0);
  /* What does not fit the reader's array stays, in order. */
  FAILS (memif_rx_burst (p.master.conn, 0, b, 3, &n), MEMIF_ERR_NOBUF);
  EQUAL (n, 3);
  EQUAL (b[2].desc_index, 2);
  OK (memif_rx_burst (p.master.conn, 0, b, 5, &n));
  EQUAL (n, 5);
  EQUAL (b[0].desc_index, 3);
  OK (memif_refill_queue (p.master.conn, 0, 8, 0));
  OK (memif_buffer_alloc (p.slave.conn, 0, b, 8, &n, 100));
  pair_close (&p);
}

/* Size 0: whole buffers, to be filled as far as the program likes. */
static void
size_0_reserves_whole_buffers (void)
{
  for (int master = 0; master < 2; master++)
    {
      pair_t p = { 0 };
      pair_open (&p, (settings_t){ .log2_ring_size = 2, .buffer_size = 256 });
      side_t *from = master ? &p.master : &p.slave, *to = master ? &p.slave : &p.master;
      memif_buffer_t b[8];
      uint16_t n = 0;
      OK (memif_buffer_alloc (from->conn, 0, b, 3, &n, 0));
      EQUAL (n, 3);
      for (uint32_t i = 0; i < 3; i++)
	{
	  EQUAL (b[i].len, 256);
	  EQUAL (b[i].flags, 0);
	  b[i].len = 100 + i;
	  pattern (b[i].data, i, b[i].len);
	}
      OK (memif_tx_burst (from->conn, 0, b, 3, &n));
      for (uint32_t i = 0; i < 3; i++)
	{
	  EQUAL (receive_packet (to->conn, 0, bytes, sizeof bytes), 100 + i);
	  CHECK (is_pattern (bytes, i, 100 + i));
	}
      FAILS (memif_buffer_alloc (from->conn, 0, b, 8, &n, 0), MEMIF_ERR_NOBUF_RING);
      EQUAL (n, 4);
      pair_close (&p);
    }
}

/* A peer whose buffers are small can't make the library write beyond the array. */
static void
small_buffers_of_the_peer (void)
{
  side_t master = { 0 }, slave = { 0 };
  const char *path = fresh_path ();
  side_open (&master, path, true, (settings_t){ .log2_ring_size = 6, .buffer_size = 2048 });
  side_open (&slave, path, false, (settings_t){ .log2_ring_size = 6, .buffer_size = 64 });
  while (!master.ups || !slave.ups)
    {
      OK (memif_poll_event (master.sock, 0));
      OK (memif_poll_event (slave.sock, 1));
    }
  memif_buffer_t b[40];
  uint16_t n = 0;
  memset (b, 0xee, sizeof b);
  memif_buffer_t untouched = b[39];
  FAILS (memif_buffer_alloc (master.conn, 0, b, 1, &n, 2048), MEMIF_ERR_NOBUF_RING);
  EQUAL (n, 0);
  CHECK (memcmp (&b[1], &untouched, sizeof untouched) == 0);
  /* With room for the links it goes. */
  FAILS (memif_buffer_alloc (master.conn, 0, b, 39, &n, 2048), MEMIF_ERR_NOBUF_RING);
  EQUAL (n, 32);
  side_close (&slave);
  side_close (&master);
}

/* 64 KiB over buffers of 64 bytes are sent; what would take more links for less ends the link. */
static void
too_small_buffers_of_the_peer (void)
{
  for (uint16_t size = 63; size <= 64; size++)
    {
      pair_t p = { 0 };
      pair_open (&p, (settings_t){ .log2_ring_size = 11, .buffer_size = size });
      memif_ext_slice_t packet = { bytes, 1023u * size };
      memif_ext_packet_t got;
      static uint8_t arena[65536];
      uint16_t n = 0, slots = 0;
      uint32_t most = 0;
      OK (memif_ext_tx_burst (p.master.conn, 0, &packet, 1, &n));
      OK (memif_ext_rx_burst (p.slave.conn, 0, arena, sizeof arena, sizeof arena, &got, 1, &n));
      EQUAL (got.length, 1023u * size);
      OK (memif_ext_tx_room (p.master.conn, 0, &most, &slots));
      EQUAL (most, size);
      EQUAL (slots, 2048);
      packet.len = 1024u * size;
      if (size == 64)
	{
	  OK (memif_ext_tx_burst (p.master.conn, 0, &packet, 1, &n));
	  OK (memif_ext_rx_burst (p.slave.conn, 0, arena, sizeof arena, sizeof arena, &got, 1, &n));
	  EQUAL (got.length, 65536);
	}
      else
	{
	  FAILS (memif_ext_tx_burst (p.master.conn, 0, &packet, 1, &n), MEMIF_ERR_MFMSG);
	  EQUAL (n, 0);
	  pair_down (&p);
	  static char memory[8192];
	  memif_details_t d;
	  OK (memif_get_details (p.master.conn, &d, memory, sizeof memory));
	  CHECK (strstr ((const char *) d.error, "the offered buffers are too small: 1024 of them for 64512 bytes"));
	  FAILS (memif_ext_tx_room (p.master.conn, 0, &most, &slots), MEMIF_ERR_DISCONNECTED);
	}
      pair_close (&p);
    }
}

static void
order_is_kept (void)
{
  pair_t p = { 0 };
  pair_open (&p, (settings_t){ .log2_ring_size = 4 });
  memif_buffer_t b[4];
  uint16_t n = 0, sent = 0;
  OK (memif_buffer_alloc (p.slave.conn, 0, b, 4, &n, 64));
  FAILS (memif_tx_burst (p.slave.conn, 0, b + 1, 1, &sent), MEMIF_ERR_INVAL_ARG);
  EQUAL (sent, 0);
  EQUAL (receive_packet (p.master.conn, 0, bytes, sizeof bytes), -1);
  b[1].flags = MEMIF_BUFFER_FLAG_NEXT; /* a chain without an end */
  FAILS (memif_tx_burst (p.slave.conn, 0, b, 2, &sent), MEMIF_ERR_INVAL_ARG);
  EQUAL (sent, 1);
  b[1].flags = 0;
  b[1].len = 4096; /* more than the buffer */
  FAILS (memif_tx_burst (p.slave.conn, 0, b + 1, 3, &sent), MEMIF_ERR_INVAL_ARG);
  b[1].len = 64;
  OK (memif_tx_burst (p.slave.conn, 0, b + 1, 3, &sent));
  FAILS (memif_tx_burst (p.slave.conn, 0, b + 3, 1, &sent), MEMIF_ERR_INVAL_ARG);
  pair_close (&p);
}

/* Packets of one buffer each, and a chain behind them. */
static void
a_burst_tells_of_each_buffer (void)
{
  static const uint16_t lengths[] = { 1, 64, 128, 77, 200, 30 };
  enum { COUNT = sizeof lengths / sizeof *lengths, CHAIN = 4, BUFFERS = COUNT + 1 };
  for (int master = 0; master < 2; master++)
    {
      pair_t p = { 0 };
      pair_open (&p, (settings_t){ .log2_ring_size = 4, .buffer_size = 128 });
      side_t *from = master ? &p.master : &p.slave, *to = master ? &p.slave : &p.master;
      memif_buffer_t b[BUFFERS + 1];
      uint16_t n = 0;
      for (int round = 0; round < 5; round++)
	{
	  for (uint32_t i = 0; i < COUNT; i++)
	    OK (send_packet (from->conn, 0, i, lengths[i]));
	  memset (b, 0xee, sizeof b);
	  OK (memif_rx_burst (to->conn, 0, b, BUFFERS + 1, &n));
	  EQUAL (n, BUFFERS);
	  for (uint16_t i = 0; i < BUFFERS; i++)
	    {
	      EQUAL (b[i].desc_index, round * BUFFERS + i);
	      EQUAL (b[i].flags, i == CHAIN ? MEMIF_BUFFER_FLAG_NEXT : 0);
	      EQUAL (b[i].len, i < CHAIN ? lengths[i] : i == CHAIN ? 128 : i == CHAIN + 1 ? 72 : 30);
	      if (i < CHAIN)
		CHECK (is_pattern (b[i].data, i, b[i].len));
	    }
	  OK (memif_refill_queue (to->conn, 0, n, 0));
	}
      pair_close (&p);
    }
}

/* A slave may send from within a buffer. */
static void
data_may_start_inside (void)
{
  pair_t p = { 0 };
  pair_open (&p, (settings_t){ .buffer_size = 2048 });
  for (uint16_t into = 0; into <= 2000; into = (uint16_t) (into + 250))
    {
      memif_buffer_t b;
      uint16_t n = 0;
      OK (memif_buffer_alloc (p.slave.conn, 0, &b, 1, &n, 2048));
      uint8_t *start = b.data;
      pattern (start + into, into, 48);
      b.data = start + into;
      b.len = 2048u - into + 1u;
      FAILS (memif_tx_burst (p.slave.conn, 0, &b, 1, &n), MEMIF_ERR_INVAL_ARG);
      b.data = start - 1;
      b.len = 48;
      FAILS (memif_tx_burst (p.slave.conn, 0, &b, 1, &n), MEMIF_ERR_INVAL_ARG);
      b.data = start + into;
      OK (memif_tx_burst (p.slave.conn, 0, &b, 1, &n));
      EQUAL (receive_packet (p.master.conn, 0, bytes, sizeof bytes), 48);
      CHECK (is_pattern (bytes, into, 48));
    }
  pair_close (&p);
}

static void
headroom (void)
{
  pair_t p = { .slave = { .offer = 15, .headroom = 100 } };
  pair_open (&p, (settings_t){ .log2_ring_size = 4, .buffer_size = 1024 });
  memif_buffer_t b;
  uint16_t n = 0;
  uint8_t *last = NULL;
  for (uint32_t i = 0; i < 70000; i++) /* beyond the wrap of the counters */
    {
      OK (send_packet (p.master.conn, 0, i, 900));
      OK (memif_rx_burst (p.slave.conn, 0, &b, 1, &n));
      EQUAL (n, 1);
      /* The room before the packet is ours to write. */
      last = b.data;
      memset (last - 100, 0xaa, 100);
      if (i % 1000 == 0)
	CHECK (is_pattern (b.data, i, 900));
      OK (memif_refill_queue (p.slave.conn, 0, 1, 100));
    }
  /* 924 bytes fit behind the headroom; more takes two links. */
  OK (memif_buffer_alloc (p.master.conn, 0, &b, 1, &n, 924));
  EQUAL (n, 1);
  EQUAL (b.len, 924);
  FAILS (memif_refill_queue (p.slave.conn, 0, 1, 1024), MEMIF_ERR_INVAL_ARG);
  pair_close (&p);
}

/* Giving more back than was taken does nothing more. */
static void
refill_knows_its_limit (void)
{
  pair_t p = { 0 };
  pair_open (&p, (settings_t){ .log2_ring_size = 2, .buffer_size = 128 });
  for (int i = 0; i < 5; i++)
    {
      OK (memif_refill_queue (p.slave.conn, 0, 0xffff, 0));
      OK (memif_refill_queue (p.master.conn, 0, 0xffff, 0));
    }
  uint32_t sent = 0;
  while (send_packet (p.master.conn, 0, sent, 10) == 0)
    sent++;
  EQUAL (sent, 4);
  for (uint32_t i = 0; i < sent; i++)
    EQUAL (receive_packet (p.slave.conn, 0, bytes, sizeof bytes), 10);
  for (uint32_t i = 0; i < 70000; i++)
    cross (&p.slave, &p.master, 0, i, 20);
  pair_close (&p);
}

/* Buffers are given back in parts, while others are held: the sender finds as many
 * free as were given back, also where the counters wrap. */
static void
refilling_in_parts (void)
{
  for (int master = 0; master < 2; master++)
    {
      pair_t p = { 0 };
      pair_open (&p, (settings_t){ .log2_ring_size = 3, .buffer_size = 128 });
      side_t *to = master ? &p.master : &p.slave, *from = master ? &p.slave : &p.master;
      memif_buffer_t b[8];
      uint32_t sent = 0, seen = 0, spare = 8, held = 0;
      while (sent < 140000)
	{
	  int err;
	  while ((err = send_packet (from->conn, 0, sent, 20)) == 0)
	    {
	      sent++;
	      spare--;
	    }
	  EQUAL (err, MEMIF_ERR_NOBUF_RING);
	  EQUAL (spare, 0);
	  uint16_t n = 0;
	  OK (memif_rx_burst (to->conn, 0, b, 8, &n));
	  for (uint16_t i = 0; i < n; i++)
	    CHECK (b[i].len == 20 && is_pattern (b[i].data, seen++, 20));
	  EQUAL (seen, sent);
	  held += n;
	  uint16_t part = (uint16_t) (1 + sent * 2654435761u / 7 % held);
	  OK (memif_refill_queue (to->conn, 0, part, 0));
	  held -= part;
	  spare += part;
	}
      pair_close (&p);
    }
}

static void
rewinding (void)
{
  for (int master = 0; master < 2; master++)
    {
      pair_t p = { 0 };
      pair_open (&p, (settings_t){ .log2_ring_size = 3, .buffer_size = 256 });
      side_t *from = master ? &p.master : &p.slave, *to = master ? &p.slave : &p.master;
      memif_buffer_t b[8], again[8], other;
      uint16_t n = 0;
      for (uint32_t round = 0; round < 1000; round++)
	{
	  OK (memif_buffer_alloc (from->conn, 0, b, 6, &n, 200));
	  EQUAL (n, 6);
	  uint16_t keep = (uint16_t) (round % 6);
	  OK (memif_set_next_free_buffer (from->conn, 0, &b[keep]));
	  OK (memif_buffer_alloc (from->conn, 0, again, (uint16_t) (6 - keep), &n, 200));
	  for (uint16_t i = keep; i < 6; i++)
	    CHECK (again[i - keep].desc_index == b[i].desc_index && again[i - keep].data == b[i].data);
	  OK (memif_tx_burst (from->conn, 0, b, 6, &n));
	  other = b[5];
	  FAILS (memif_set_next_free_buffer (from->conn, 0, &other), MEMIF_ERR_INVAL_ARG);
	  OK (memif_rx_burst (to->conn, 0, b, 6, &n));
	  EQUAL (n, 6);
	  OK (memif_refill_queue (to->conn, 0, 6, 0));
	}
      FAILS (memif_set_next_free_buffer (from->conn, 9, &other), MEMIF_ERR_QID);
      FAILS (memif_set_next_free_buffer (from->conn, 0, NULL), MEMIF_ERR_INVAL_ARG);
      FAILS (memif_set_next_free_buffer (NULL, 0, &other), MEMIF_ERR_NOCONN);
      pair_close (&p);
    }
}

/* A chain that is not finished, taken back from its second link on. */
static void
rewinding_into_a_chain (void)
{
  for (int master = 0; master < 2; master++)
    {
      pair_t p = { 0 };
      pair_open (&p, (settings_t){ .log2_ring_size = 3, .buffer_size = 256 });
      side_t *from = master ? &p.master : &p.slave, *to = master ? &p.slave : &p.master;
      memif_buffer_t b[3];
      uint16_t n = 0;
      for (uint32_t round = 0; round < 40000; round++)
	{
	  OK (memif_buffer_alloc (from->conn, 0, b, 1, &n, 600));
	  EQUAL (n, 3);
	  const memif_buffer_t second = b[1];
	  OK (memif_set_next_free_buffer (from->conn, 0, &b[1]));
	  OK (memif_buffer_alloc (from->conn, 0, &b[1], 1, &n, 50));
	  CHECK (n == 1 && b[1].desc_index == second.desc_index && b[1].data == second.data);
	  b[0].flags = 0;
	  pattern (b[0].data, round, 256);
	  pattern (b[1].data, round + 1, 50);
	  OK (memif_tx_burst (from->conn, 0, b, 2, &n));
	  EQUAL (receive_packet (to->conn, 0, bytes, sizeof bytes), 256);
	  CHECK (is_pattern (bytes, round, 256));
	  EQUAL (receive_packet (to->conn, 0, bytes, sizeof bytes), 50);
	  CHECK (is_pattern (bytes, round + 1, 50));
	}
      pair_close (&p);
    }
}

/* As libmemif 4.0 has it, in both roles. */
static void
what_a_burst_takes (void)
{
  for (int master = 0; master < 2; master++)
    {
      pair_t p = { 0 };
      pair_open (&p, (settings_t){ .log2_ring_size = 4, .buffer_size = 512 });
      side_t *from = master ? &p.master : &p.slave, *to = master ? &p.slave : &p.master;
      memif_buffer_t b[3];
      uint16_t n = 0, sent = 9;
      OK (memif_buffer_alloc (from->conn, 0, b, 3, &n, 64));
      for (uint32_t i = 0; i < 3; i++)
	pattern (b[i].data, i, 64);
      /* The buffer's queue does not matter; of a wrong index in second place the first is sent. */
      b[0].queue = NULL;
      b[1].desc_index = (uint16_t) (b[1].desc_index + 1);
      FAILS (memif_tx_burst (from->conn, 0, b, 3, &sent), MEMIF_ERR_INVAL_ARG);
      EQUAL (sent, 1);
      b[1].desc_index = (uint16_t) (b[1].desc_index - 1);
      /* More than the buffer holds is the caller's fault, and nobody else's. */
      b[1].len = 513;
      FAILS (memif_tx_burst (from->conn, 0, &b[1], 2, &sent), MEMIF_ERR_INVAL_ARG);
      EQUAL (sent, 0);
      b[1].len = 64;
      OK (memif_tx_burst (from->conn, 0, &b[1], 2, &sent));
      for (uint32_t i = 0; i < 3; i++)
	{
	  EQUAL (receive_packet (to->conn, 0, bytes, sizeof bytes), 64);
	  CHECK (is_pattern (bytes, i, 64));
	}
      EQUAL (p.slave.downs + p.master.downs, 0);
      pair_close (&p);
    }
}

/* Numbers of slots have 16 bits: buffers of many large rings are told apart all the same. All of
 * them are in use at once. */
static void
many_large_rings (void)
{
  enum { QUEUES = 9, PACKETS = 1 << 12, LENGTH = 192 /* no small buffer holds it */ };
  pair_t p = { 0 };
  pair_open (&p, (settings_t){ .log2_ring_size = 12, .buffer_size = LENGTH, .s2m = QUEUES, .m2s = QUEUES });
  for (int received = 0; received < 2; received++)
    for (uint32_t q = 0; q < 2 * QUEUES; q++)
      for (uint32_t i = 0; i < PACKETS; i++)
	{
	  side_t *from = q < QUEUES ? &p.slave : &p.master, *to = q < QUEUES ? &p.master : &p.slave;
	  const uint16_t qid = (uint16_t) (q % QUEUES);
	  if (!received)
	    OK (send_packet (from->conn, qid, q * PACKETS + i, LENGTH));
	  else
	    {
	      EQUAL (receive_packet (to->conn, qid, bytes, sizeof bytes), LENGTH);
	      CHECK (is_pattern (bytes, q * PACKETS + i, LENGTH));
	    }
	}
  pair_close (&p);
}

/* Without a link every call says so; buffers of a former link are refused. */
static void
without_a_link (void)
{
  pair_t p = { 0 };
  pair_open (&p, (settings_t){ 0 });
  memif_buffer_t b, old;
  uint16_t n = 0;
  OK (send_packet (p.master.conn, 0, 1, 64));
  OK (memif_rx_burst (p.slave.conn, 0, &old, 1, &n));
  side_close (&p.master);
  while (!p.slave.downs)
    OK (memif_poll_event (p.slave.sock, 1));
  FAILS (memif_buffer_alloc (p.slave.conn, 0, &b, 1, &n, 64), MEMIF_ERR_DISCONNECTED);
  FAILS (memif_buffer_enq_tx (p.slave.conn, 0, &old, 1, &n), MEMIF_ERR_DISCONNECTED);
  FAILS (memif_buffer_requeue (p.slave.conn, &old, &old), MEMIF_ERR_DISCONNECTED);
  FAILS (memif_set_next_free_buffer (p.slave.conn, 0, &old), MEMIF_ERR_DISCONNECTED);
  FAILS (memif_tx_burst (p.slave.conn, 0, &old, 1, &n), MEMIF_ERR_DISCONNECTED);
  side_close (&p.slave);
}

/* There is one queue in the direction of each call, and two in the other. */
static void
without_a_queue (void)
{
  pair_t p = { 0 };
  pair_open (&p, (settings_t){ .s2m = 2 });
  const uint16_t none = 1;
  memif_buffer_t b = { 0 };
  memif_ext_packet_t packet;
  memif_ext_lent_t lent = { 0 };
  memif_ext_slice_t slice = { bytes, 64 };
  uint16_t n;
  uint32_t number;
  uint64_t count;
  int result;
  for (int i = 0; i < 2; i++)
    {
      memif_conn_handle_t c = i ? p.slave.conn : NULL;
      const int err = i ? MEMIF_ERR_QID : MEMIF_ERR_NOCONN; /* of the calls of 4.0 */
      FAILS (memif_rx_burst (c, none, &b, 1, &n), err);
      FAILS (memif_refill_queue (c, none, 1, 0), err);
      FAILS (memif_set_rx_mode (c, MEMIF_RX_MODE_POLLING, none), err);
      FAILS (memif_get_queue_efd (c, none, &result), err);
      FAILS (memif_ext_rx_burst (c, none, bytes, sizeof bytes, 64, &packet, 1, &n), MEMIF_ERR_QID);
      FAILS (memif_ext_rx_overrun (c, none, &count), MEMIF_ERR_QID);
      FAILS (memif_ext_rx_full (c, none, &count), MEMIF_ERR_QID);
      FAILS (memif_ext_rx_lend (c, none, &lent, 1, &n, &number), MEMIF_ERR_QID);
      FAILS (memif_ext_rx_return (c, none, 0, 0), MEMIF_ERR_QID);
      FAILS (memif_ext_rx_read (c, none, 0, &lent, 0, bytes, 0), MEMIF_ERR_QID);
      FAILS (memif_ext_rx_wait (c, none, 0, 0, 0, &result), MEMIF_ERR_QID);
      FAILS (memif_ext_rx_wake (c, none), MEMIF_ERR_QID);
      FAILS (memif_ext_rx_prepare (c, none), MEMIF_ERR_QID);
      FAILS (memif_ext_rx_fd (c, none, &result), MEMIF_ERR_QID);
      FAILS (memif_ext_rx_state (c, none, &result), MEMIF_ERR_QID);
      c = i ? p.master.conn : NULL;
      FAILS (memif_buffer_alloc (c, none, &b, 1, &n, 64), err);
      FAILS (memif_tx_burst (c, none, &b, 1, &n), err);
      FAILS (memif_buffer_enq_tx (c, none, &b, 1, &n), err);
      FAILS (memif_set_next_free_buffer (c, none, &b), err);
      FAILS (memif_ext_tx_burst (c, none, &slice, 1, &n), MEMIF_ERR_QID);
      FAILS (memif_ext_tx_fits (c, none, 64), MEMIF_ERR_QID);
      FAILS (memif_ext_tx_free (c, none, &n), MEMIF_ERR_QID);
      FAILS (memif_ext_tx_room (c, none, &number, &n), MEMIF_ERR_QID);
      FAILS (memif_ext_tx_offered (c, none, &result), MEMIF_ERR_QID);
      FAILS (memif_ext_tx_pending (c, none, &n), MEMIF_ERR_QID);
      FAILS (memif_ext_tx_lot (c, none, &n), MEMIF_ERR_QID);
      FAILS (memif_ext_tx_state (c, none, &result), MEMIF_ERR_QID);
    }
  pair_close (&p);
}

static void
without_what_a_call_needs (void)
{
  pair_t p = { 0 };
  pair_open (&p, (settings_t){ 0 });
  memif_conn_handle_t c = p.slave.conn;
  memif_ext_packet_t packet;
  memif_ext_lent_t lent = { 0 };
  memif_ext_slice_t slice = { bytes, 64 };
  uint16_t n;
  uint32_t number;
  FAILS (memif_ext_rx_burst (c, 0, NULL, 64, 64, &packet, 1, &n), MEMIF_ERR_INVAL_ARG);
  FAILS (memif_ext_rx_burst (c, 0, bytes, 64, 64, NULL, 1, &n), MEMIF_ERR_INVAL_ARG);
  FAILS (memif_ext_rx_burst (c, 0, bytes, 64, 64, &packet, 1, NULL), MEMIF_ERR_INVAL_ARG);
  FAILS (memif_ext_rx_lend (c, 0, NULL, 1, &n, &number), MEMIF_ERR_INVAL_ARG);
  FAILS (memif_ext_rx_lend (c, 0, &lent, 0, &n, &number), MEMIF_ERR_INVAL_ARG);
  FAILS (memif_ext_rx_lend (c, 0, &lent, 1, NULL, &number), MEMIF_ERR_INVAL_ARG);
  FAILS (memif_ext_rx_lend (c, 0, &lent, 1, &n, NULL), MEMIF_ERR_INVAL_ARG);
  FAILS (memif_ext_rx_read (c, 0, 0, NULL, 0, bytes, 0), MEMIF_ERR_INVAL_ARG);
  FAILS (memif_ext_rx_read (c, 0, 0, &lent, 0, NULL, 0), MEMIF_ERR_INVAL_ARG);
  FAILS (memif_ext_rx_read (c, 0, 0, &lent, 1, bytes, 0), MEMIF_ERR_INVAL_ARG);
  FAILS (memif_ext_rx_read (c, 0, 0, &lent, 0, bytes, 1), MEMIF_ERR_INVAL_ARG);
  FAILS (memif_ext_rx_wait (c, 0, 0, 0, 0, NULL), MEMIF_ERR_INVAL_ARG);
  FAILS (memif_ext_rx_fd (c, 0, NULL), MEMIF_ERR_INVAL_ARG);
  FAILS (memif_ext_rx_full (c, 0, NULL), MEMIF_ERR_INVAL_ARG);
  FAILS (memif_ext_rx_state (c, 0, NULL), MEMIF_ERR_INVAL_ARG);
  FAILS (memif_ext_tx_burst (c, 0, NULL, 1, &n), MEMIF_ERR_INVAL_ARG);
  FAILS (memif_ext_tx_burst (c, 0, &slice, 1, NULL), MEMIF_ERR_INVAL_ARG);
  FAILS (memif_ext_tx_fits (c, 0, 0), MEMIF_ERR_INVAL_ARG);
  FAILS (memif_ext_tx_free (c, 0, NULL), MEMIF_ERR_INVAL_ARG);
  FAILS (memif_ext_tx_room (c, 0, NULL, &n), MEMIF_ERR_INVAL_ARG);
  FAILS (memif_ext_tx_room (c, 0, &number, NULL), MEMIF_ERR_INVAL_ARG);
  FAILS (memif_ext_tx_offered (c, 0, NULL), MEMIF_ERR_INVAL_ARG);
  FAILS (memif_ext_tx_lot (c, 0, NULL), MEMIF_ERR_INVAL_ARG);
  pair_close (&p);
}

int
main (int argc, char **argv)
{
  static const test_t tests[] = {
    { "chains_of_one_packet", chains_of_one_packet },
    { "short_counts", short_counts },
    { "size_0_reserves_whole_buffers", size_0_reserves_whole_buffers },
    { "small_buffers_of_the_peer", small_buffers_of_the_peer },
    { "too_small_buffers_of_the_peer", too_small_buffers_of_the_peer },
    { "order_is_kept", order_is_kept },
    { "a_burst_tells_of_each_buffer", a_burst_tells_of_each_buffer },
    { "data_may_start_inside", data_may_start_inside },
    { "headroom", headroom },
    { "refill_knows_its_limit", refill_knows_its_limit },
    { "refilling_in_parts", refilling_in_parts },
    { "rewinding", rewinding },
    { "rewinding_into_a_chain", rewinding_into_a_chain },
    { "what_a_burst_takes", what_a_burst_takes },
    { "many_large_rings", many_large_rings },
    { "without_a_link", without_a_link },
    { "without_a_queue", without_a_queue },
    { "without_what_a_call_needs", without_what_a_call_needs },
  };
  return RUN (argc, argv, tests);
}
