/* A peer on a core that is far: how that is found out, and what is written past the cache for it. */
#define _GNU_SOURCE
#include "support.h"

#include "control.h"
#include "tx.h"

static void
half_of_some_samples_tell_that_a_peer_is_far (void)
{
  queue_t q = { 0 };
  for (int near = 0; near <= 8; near++)
    {
      const bool was = q.far;
      for (int i = 0; i < 8; i++)
	{
	  EQUAL (q.far, was); /* not before there are enough */
	  tx_learn_distance (&q, i < near ? 40 : i == 7 ? 5000 : 100);
	}
      EQUAL (q.far, near <= 4);
    }
  q = (queue_t){ .slave = true }; /* with buffers of the program's, which may lie anywhere */
  for (int i = 0; i < 8; i++)
    tx_learn_distance (&q, 100);
  CHECK (!q.far);
}

/* They are written in another way, in lines that are filled with zeros. */
static void
packets_for_a_far_peer_are_whole (void)
{
  enum { COUNT = 16, LONGEST = 700 };
  static uint8_t sent[COUNT][LONGEST], arena[COUNT * (LONGEST + 64)];
  for (int to_slave = 0; to_slave < 2; to_slave++)
    {
      pair_t p = { 0 };
      pair_open (&p, (settings_t){ .log2_ring_size = 7, .buffer_size = 200 });
      side_t *from = to_slave ? &p.master : &p.slave, *to = to_slave ? &p.slave : &p.master;
      queue_t *q = ((conn_t *) from->conn)->tx[0];
      for (uint32_t first = 1; first + COUNT <= LONGEST; first++)
	{
	  memif_ext_slice_t slices[COUNT];
	  memif_ext_packet_t packets[COUNT];
	  uint16_t out = 0, in = 0;
	  for (uint32_t i = 0; i < COUNT; i++)
	    {
	      pattern (sent[i], first + i, first + i);
	      slices[i] = (memif_ext_slice_t){ .data = sent[i], .len = first + i };
	    }
	  q->far = true;
	  q->samples = 0;
	  OK (memif_ext_tx_burst (from->conn, 0, slices, COUNT, &out));
	  EQUAL (out, COUNT);
	  OK (memif_ext_rx_burst (to->conn, 0, arena, sizeof arena, LONGEST, packets, COUNT, &in));
	  EQUAL (in, COUNT);
	  for (uint32_t i = 0; i < COUNT; i++)
	    {
	      EQUAL (packets[i].length, first + i);
	      CHECK (is_pattern (arena + packets[i].offset, first + i, first + i));
	    }
	}
      pair_close (&p);
    }
}

int
main (int argc, char **argv)
{
  static const test_t tests[] = {
    { "half_of_some_samples_tell_that_a_peer_is_far", half_of_some_samples_tell_that_a_peer_is_far },
    { "packets_for_a_far_peer_are_whole", packets_for_a_far_peer_are_whole },
  };
  return RUN (argc, argv, tests);
}
