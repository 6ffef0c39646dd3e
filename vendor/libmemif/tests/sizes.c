/* Ring sizes, buffer sizes and queue counts, unequal on the two sides: what is settled, and what
 * crosses. */
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>

#include "support.h"

/* Each line: both sides' settings. The slave's count, rings never more than the master has. */
static const struct
{
  uint8_t master_log2, slave_log2;
  uint16_t master_buffer, slave_buffer;
  uint8_t master_s2m, master_m2s, slave_s2m, slave_m2s;
} table[] = {
  { 1, 1, 2048, 2048, 1, 1, 1, 1 },	{ 14, 1, 65535, 64, 1, 2, 2, 1 },
  { 1, 2, 64, 65535, 2, 1, 1, 2 },	{ 10, 3, 2048, 1024, 3, 3, 1, 1 },
  { 4, 4, 128, 128, 1, 1, 4, 4 },	{ 5, 5, 9000, 9000, 5, 1, 1, 5 },
  { 6, 6, 100, 1000, 2, 3, 3, 2 },	{ 7, 7, 1000, 100, 1, 1, 1, 1 },
  { 8, 8, 64, 64, 8, 8, 8, 8 },		{ 9, 9, 2047, 2047, 1, 1, 1, 1 },
  { 10, 10, 2048, 2048, 16, 16, 16, 16 }, { 11, 11, 1500, 1500, 1, 1, 1, 1 },
  { 12, 12, 512, 4096, 1, 1, 1, 1 },	{ 13, 13, 300, 300, 2, 2, 2, 2 },
  { 14, 14, 64, 64, 1, 1, 1, 1 },	{ 2, 14, 2048, 65535, 1, 1, 1, 1 },
  { 14, 14, 65535, 2048, 3, 1, 1, 3 },	{ 3, 3, 65535, 65535, 1, 1, 1, 1 },
};

static uint8_t
least (uint8_t a, uint8_t b)
{
  return a < b ? a : b;
}

static void
settled (side_t *side, unsigned rx, unsigned tx, unsigned ring_size, unsigned buffer_size)
{
  static char memory[16384];
  memif_details_t d;
  OK (memif_get_details (side->conn, &d, memory, sizeof memory));
  EQUAL (d.rx_queues_num, rx);
  EQUAL (d.tx_queues_num, tx);
  for (unsigned q = 0; q < rx + tx; q++)
    {
      const memif_queue_details_t *queue = q < rx ? &d.rx_queues[q] : &d.tx_queues[q - rx];
      EQUAL (queue->qid, q < rx ? q : q - rx);
      EQUAL (queue->ring_size, ring_size);
      EQUAL (queue->buffer_size, buffer_size);
    }
}

static void
crosses (side_t *from, side_t *to, uint16_t qid, uint32_t length, uint32_t ring_bytes)
{
  static uint8_t bytes[70000], arena[70000];
  memif_ext_packet_t got;
  uint16_t n = 0;
  if (length == 0 || length > 70000)
    return;
  pattern (bytes, length, length);
  memif_ext_slice_t packet = { bytes, length };
  int err = memif_ext_tx_burst (from->conn, qid, &packet, 1, &n);
  if (length > ring_bytes)
    {
      EQUAL (err, MEMIF_ERR_INVAL_ARG);
      return;
    }
  OK (err);
  EQUAL (n, 1);
  OK (memif_ext_rx_burst (to->conn, qid, arena, sizeof arena, sizeof arena, &got, 1, &n));
  EQUAL (n, 1);
  EQUAL (got.captured, length);
  EQUAL (got.length, length);
  CHECK (memcmp (arena, bytes, length) == 0);
  /* The calls of 4.0, where the sender's array suffices by its own setting. */
  if (length <= UINT16_MAX && (!from->args.is_master || from->args.buffer_size <= to->args.buffer_size))
    cross (from, to, qid, length, (uint16_t) length);
}

static void
every_line_of_the_table (void)
{
  for (size_t i = 0; i < sizeof table / sizeof *table; i++)
    {
      pair_t p = { 0 };
      const char *path = fresh_path ();
      side_open (&p.master, path, true,
		 (settings_t){ .log2_ring_size = table[i].master_log2, .buffer_size = table[i].master_buffer,
			       .s2m = table[i].master_s2m, .m2s = table[i].master_m2s });
      side_open (&p.slave, path, false,
		 (settings_t){ .log2_ring_size = table[i].slave_log2, .buffer_size = table[i].slave_buffer,
			       .s2m = table[i].slave_s2m, .m2s = table[i].slave_m2s });
      pair_up (&p);
      unsigned s2m = least (table[i].master_s2m, table[i].slave_s2m);
      unsigned m2s = least (table[i].master_m2s, table[i].slave_m2s);
      unsigned ring = 1u << table[i].slave_log2, buffer = table[i].slave_buffer;
      settled (&p.master, s2m, m2s, ring, buffer);
      settled (&p.slave, m2s, s2m, ring, buffer);
      const uint32_t lengths[] = { 1, buffer - 1, buffer, buffer + 1, 9000 };
      for (int round = 0; round < 3; round++)
	for (size_t l = 0; l < sizeof lengths / sizeof *lengths; l++)
	  {
	    for (uint16_t q = 0; q < s2m; q++)
	      crosses (&p.slave, &p.master, q, lengths[l], ring * buffer);
	    for (uint16_t q = 0; q < m2s; q++)
	      crosses (&p.master, &p.slave, q, lengths[l], ring * buffer);
	  }
      pair_close (&p);
    }
}

/* Buffers lie side by side: a byte too much in one would be the next one's first. */
static void
a_byte_more_than_a_buffer_goes_into_another (void)
{
  enum { COUNT = 8, BUFFER = 64 };
  static uint8_t bytes[COUNT][BUFFER + 1], arena[COUNT * 128];
  for (int to_slave = 0; to_slave < 2; to_slave++)
    {
      pair_t p = { 0 };
      pair_open (&p, (settings_t){ .log2_ring_size = 4, .buffer_size = BUFFER });
      side_t *from = to_slave ? &p.master : &p.slave, *to = to_slave ? &p.slave : &p.master;
      memif_ext_slice_t slices[COUNT];
      memif_ext_packet_t got[COUNT];
      uint16_t n = 0;
      for (uint32_t i = 0; i < COUNT; i++)
	{
	  pattern (bytes[i], i, sizeof bytes[i]);
	  slices[i] = (memif_ext_slice_t){ bytes[i], sizeof bytes[i] };
	}
      OK (memif_ext_tx_burst (from->conn, 0, slices, COUNT, &n));
      EQUAL (n, COUNT);
      OK (memif_ext_rx_burst (to->conn, 0, arena, sizeof arena, 128, got, COUNT, &n));
      EQUAL (n, COUNT);
      for (uint32_t i = 0; i < COUNT; i++)
	CHECK (memcmp (arena + got[i].offset, bytes[i], sizeof bytes[i]) == 0);
      pair_close (&p);
    }
}

/* More than are published at once, so that some slots stay as they are for observers. */
static void
a_burst_may_fill_the_ring (void)
{
  enum { COUNT = 1 << 10, LENGTH = 40 };
  static uint8_t bytes[COUNT][LENGTH], arena[COUNT * 64];
  static memif_ext_slice_t slices[COUNT + 1];
  static memif_ext_packet_t got[COUNT];
  for (uint32_t i = 0; i < COUNT; i++)
    {
      pattern (bytes[i], i, LENGTH);
      slices[i] = (memif_ext_slice_t){ bytes[i], LENGTH };
    }
  slices[COUNT] = slices[0];
  for (int to_slave = 0; to_slave < 2; to_slave++)
    {
      pair_t p = { 0 };
      pair_open (&p, (settings_t){ .log2_ring_size = 10 });
      side_t *from = to_slave ? &p.master : &p.slave, *to = to_slave ? &p.slave : &p.master;
      for (int round = 0; round < 3; round++)
	{
	  uint16_t n = 0;
	  OK (memif_ext_tx_burst (from->conn, 0, slices, COUNT + 1, &n));
	  EQUAL (n, COUNT);
	  OK (memif_ext_rx_burst (to->conn, 0, arena, sizeof arena, LENGTH, got, COUNT, &n));
	  EQUAL (n, COUNT);
	  for (uint32_t i = 0; i < COUNT; i++)
	    CHECK (is_pattern (arena + got[i].offset, i, LENGTH));
	}
      pair_close (&p);
    }
}

static void
zeros_are_defaults (void)
{
  pair_t p = { 0 };
  const char *path = fresh_path ();
  for (int master = 1; master >= 0; master--)
    {
      side_t *side = master ? &p.master : &p.slave;
      side_open (side, path, master, (settings_t){ 0 });
    }
  pair_up (&p);
  settled (&p.master, 1, 1, 1024, 2048);
  settled (&p.slave, 1, 1, 1024, 2048);
  memif_conn_args_t too_large = { .socket = p.master.sock, .log2_ring_size = 15 };
  memif_conn_handle_t none = NULL;
  FAILS (memif_create (&none, &too_large, NULL, NULL, NULL, NULL), MEMIF_ERR_MAX_RING);
  pair_close (&p);
}

/* More than 4 GiB of buffers take several regions. */
static void
buffers_in_several_regions (void)
{
  pair_t p = { 0 };
  pair_open (&p, (settings_t){ .log2_ring_size = 14, .buffer_size = 65535, .s2m = 3, .m2s = 3 });
  static char memory[16384];
  memif_details_t d;
  OK (memif_get_details (p.slave.conn, &d, memory, sizeof memory));
  CHECK (d.regions_num > 2 && d.tx_queues[0].region != d.rx_queues[2].region);
  for (uint16_t q = 0; q < 3; q++)
    {
      cross (&p.slave, &p.master, q, q, 65535);
      cross (&p.master, &p.slave, q, q, 65535);
    }
  /* Moved from queue to queue they are copied where their regions differ. */
  static uint8_t bytes[65536];
  for (uint16_t from = 0; from < 3; from++)
    for (uint16_t to = 0; to < 3; to++)
      {
	memif_buffer_t b;
	uint16_t n = 0;
	OK (send_packet (p.master.conn, from, to, 3000));
	OK (memif_rx_burst (p.slave.conn, from, &b, 1, &n));
	OK (memif_buffer_enq_tx (p.slave.conn, to, &b, 1, &n));
	OK (memif_refill_queue (p.slave.conn, from, 1, 0));
	OK (memif_tx_burst (p.slave.conn, to, &b, 1, &n));
	EQUAL (receive_packet (p.master.conn, to, bytes, sizeof bytes), 3000);
	CHECK (is_pattern (bytes, to, 3000));
      }
  pair_close (&p);
}

int
main (int argc, char **argv)
{
  static const test_t tests[] = {
    { "every_line_of_the_table", every_line_of_the_table },
    { "a_byte_more_than_a_buffer_goes_into_another", a_byte_more_than_a_buffer_goes_into_another },
    { "a_burst_may_fill_the_ring", a_burst_may_fill_the_ring },
    { "zeros_are_defaults", zeros_are_defaults },
    { "buffers_in_several_regions", buffers_in_several_regions },
  };
  return RUN (argc, argv, tests);
}
