/* Packets that are read where the peer has put them. */
#define _GNU_SOURCE
#include "support.h"

static void
packets_are_lent_whole_and_returned (void)
{
  enum { SLOTS = 8, BUFFER = 128, PACKETS = 3 };
  for (int to_slave = 0; to_slave < 2; to_slave++)
    {
      pair_t p = { 0 };
      pair_open (&p, (settings_t){ .log2_ring_size = 3, .buffer_size = BUFFER });
      side_t *from = to_slave ? &p.master : &p.slave, *to = to_slave ? &p.slave : &p.master;
      memif_ext_lent_t lent[SLOTS];
      uint8_t bytes[SLOTS * BUFFER];
      uint16_t n = 0;
      uint32_t link = 0;
      for (uint32_t round = 0; round < 100; round++)
	{
	  for (uint32_t i = 0; i < PACKETS; i++)
	    OK (send_packet (from->conn, 0, round + i, (uint16_t) (1 + (round + i) * 37 % 256)));
	  uint16_t at = 0;
	  OK (memif_ext_rx_lend (to->conn, 0, lent, SLOTS, &n, &link));
	  for (uint32_t i = 0; i < PACKETS; i++)
	    {
	      uint32_t length = 0;
	      do
		{
		  CHECK (at < n && length + lent[at].length <= sizeof bytes);
		  OK (memif_ext_rx_read (to->conn, 0, link, &lent[at], 0, bytes + length, lent[at].length));
		  length += lent[at].length;
		}
	      while (lent[at++].more);
	      EQUAL (length, 1 + (round + i) * 37 % 256);
	      CHECK (is_pattern (bytes, round + i, length));
	    }
	  EQUAL (at, n);
	  FAILS (memif_ext_rx_read (to->conn, 0, link + 1, lent, 0, bytes, 1), MEMIF_ERR_DISCONNECTED);
	  OK (memif_ext_rx_return (to->conn, 0, link, n));
	  OK (memif_ext_rx_lend (to->conn, 0, lent, SLOTS, &n, &link));
	  EQUAL (n, 0);
	}
      pair_close (&p);
    }
}

/* A packet of more buffers than there is room for is lent later. */
static void
half_a_packet_is_not_lent (void)
{
  pair_t p = { 0 };
  pair_open (&p, (settings_t){ .log2_ring_size = 3, .buffer_size = 128 });
  memif_ext_lent_t lent[2];
  uint16_t n = 0;
  uint32_t link = 0;
  OK (send_packet (p.slave.conn, 0, 1, 100));
  OK (send_packet (p.slave.conn, 0, 2, 200));
  OK (memif_ext_rx_lend (p.master.conn, 0, lent, 2, &n, &link));
  EQUAL (n, 1);
  FAILS (memif_ext_rx_lend (p.master.conn, 0, lent, 2, &n, &link), MEMIF_ERR_INVAL_ARG);
  OK (memif_ext_rx_return (p.master.conn, 0, link, 1));
  FAILS (memif_ext_rx_lend (p.master.conn, 0, lent, 1, &n, &link), MEMIF_ERR_NOBUF);
  EQUAL (n, 0);
  OK (memif_ext_rx_lend (p.master.conn, 0, lent, 2, &n, &link));
  EQUAL (n, 2);
  OK (memif_ext_rx_return (p.master.conn, 0, link, 2));
  pair_close (&p);
}

int
main (int argc, char **argv)
{
  static const test_t tests[] = {
    { "packets_are_lent_whole_and_returned", packets_are_lent_whole_and_returned },
    { "half_a_packet_is_not_lent", half_a_packet_is_not_lent },
  };
  return RUN (argc, argv, tests);
}
