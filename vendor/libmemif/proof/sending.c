/* A master that sends, whatever its slave offers. What a slave reads of a ring is a counter. */
#define _GNU_SOURCE
#include "any.h"

#include "tx.c"
#include "tx_copy.c"
#include "tx_in_place.c"

void tx_measure (queue_t *q) {}

uint32_t
queue_buffer_size (queue_t *q)
{
  return q->buffer_size;
}

void queue_lock (queue_t *q) {}
void queue_unlock (queue_t *q) {}

enum { LONGEST = 5 };

int
main (void)
{
  make_queue (false, false);
  static uint8_t bytes[LONGEST];
  uint32_t length = Frama_C_unsigned_int_interval (0, LONGEST);
  //@ split length;
  memif_ext_slice_t packets[2] = { { .data = bytes, .len = length }, { .data = bytes, .len = length } };
  memif_buffer_t bufs[3] = { 0 };
  uint16_t count = Frama_C_interval (0, 3), n = 0;
  uint32_t size;
  int offered;
  conn.args.buffer_size = BUFFER;
  switch (CALL)
    {
    case 0:
      memif_ext_tx_burst (&conn, 0, packets, Frama_C_interval (0, 2), &n);
      break;
    case 1:
      memif_ext_tx_fits (&conn, 0, ANY (uint32_t));
      break;
    case 2:
      memif_buffer_alloc (&conn, 0, bufs, count, &n, length);
      break;
    case 3:
      for (int i = 0; i < 3; i++)
	bufs[i] = (memif_buffer_t){ .desc_index = ANY (uint16_t), .queue = &queue, .len = ANY (uint32_t),
				    .flags = ANY (uint8_t), .data = any_bool () ? memory_0 : memory_1 };
      memif_tx_burst (&conn, 0, bufs, count, &n);
      break;
    case 4:
      memif_ext_tx_free (&conn, 0, &n);
      memif_ext_tx_room (&conn, 0, &size, &n);
      break;
    default:
      memif_ext_tx_pending (&conn, 0, &n);
      memif_ext_tx_lot (&conn, 0, &n);
      memif_ext_tx_offered (&conn, 0, &offered);
      tx_untaken (&queue);
    }
  return 0;
}
