/* Receiving, whatever is in the memory. */
#define _GNU_SOURCE
#include "any.h"

static uint8_t arena[ARENA];

#if CALL == 0
/* Analysed by themselves, from 7 on. */
/*@ assigns packets[0 .. count - 1], arena[0 .. arena_len - 1], *at, q->next, q->peer, q->fault \from count;
    assigns \result \from count, n;
    ensures n <= \result <= count || \result == 0; */
static uint16_t copy_others_out (queue_t *q, uint16_t *at, uint8_t *arena, uint32_t arena_len, uint32_t snaplen,
				 memif_ext_packet_t *packets, uint16_t n, uint16_t count, uint64_t used);
/*@ assigns packets[0 .. count - 1], arena[0 .. arena_len - 1], *used_out \from count;
    assigns \result \from count;
    ensures \result <= count; */
static uint16_t copy_singles_out (queue_t *q, uint8_t *arena, uint32_t arena_len, uint32_t snaplen,
				  memif_ext_packet_t *packets, uint16_t count, uint64_t *used_out);
#endif

#if CALL == 10
/* Analysed by itself: 9. */
/*@ assigns *packet, arena[0 .. ARENA - 1], *at, q->peer, q->limit, q->fault, q->overrun, q->chained \from snaplen;
    assigns \result \from snaplen;
    ensures -1 <= \result <= 1; */
static int copy_out (queue_t *q, uint16_t *at, uint8_t *to, uint32_t room, uint32_t snaplen,
		     memif_ext_packet_t *packet);
#endif

#include "rx.c"
#include "rx_copy.c"
#include "rx_unusual.c"
#include "rx_lend.c"
#include "rx_in_place.c"

int
main (void)
{
  make_queue (true, SLAVE);
  memif_ext_packet_t packets[3];
  memif_ext_lent_t lent[3];
  memif_buffer_t bufs[3];
  uint16_t count = Frama_C_interval (0, 3), n = 0;
  uint16_t at = ANY (uint16_t);
  uint64_t used = 64 * Frama_C_interval (0, 2);
  uint32_t link, room = Frama_C_interval (0, 4);
  //@ split room;
  switch (CALL)
    {
    case 0:
      memif_ext_rx_burst (&conn, 0, arena, ARENA, Frama_C_interval (1, ARENA), packets, count, &n);
      break;
    case 1:
      memif_ext_rx_lend (&conn, 0, lent, count, &n, &link);
      break;
    case 2:
      memif_ext_rx_return (&conn, 0, ANY (uint32_t), ANY (uint16_t));
      break;
    case 3:
      {
	const desc_t d = desc_read (queue.ring->desc); /* any */
	const uint32_t from = Frama_C_unsigned_int_interval (0, SIZE_1 + 1);
	//@ split from;
	lent[0] = (memif_ext_lent_t){ .region = d.region, .offset = d.offset, .length = d.length };
	memif_ext_rx_read (&conn, 0, ANY (uint32_t), lent,
			   from <= SIZE_1 ? from : Frama_C_unsigned_int_interval (from, UINT32_MAX), arena,
			   Frama_C_interval (0, ARENA));
      }
      break;
    case 4:
      memif_rx_burst (&conn, 0, bufs, count, &n);
      break;
    case 5:
      memif_refill_queue (&conn, 0, ANY (uint16_t), ANY (uint16_t));
      break;
    case 8:
      copy_singles_out (&queue, arena, ARENA, Frama_C_interval (1, ARENA), packets, count, &used);
      break;
    case 9:
      copy_out (&queue, &at, arena + ARENA - room, room, Frama_C_interval (1, ARENA), packets);
      break;
    case 10:
      copy_others_out (&queue, &at, arena, ARENA, Frama_C_interval (1, ARENA), packets, n, count, used);
      break;
    default:
      rx_published (&queue);
    }
  return 0;
}
