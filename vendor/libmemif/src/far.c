/* Whether the peer's core is far away, for those who send.
 *
 * Between cores with a common cache, packets go from one's own cache to the other's in a few ten
 * nanoseconds a line. Between those without, as on two sockets, it takes more than a hundred: there it
 * is faster to write bursts past the cache, to memory, from where the peer's core reads ahead.
 *
 * The sender measures it by the way: how long it takes to read the peer's counter when the peer has
 * changed it, as its line then comes from there. Half of some samples decide: a pause of the
 * machine makes some longer, and others shorter. */
#define _GNU_SOURCE
#if defined(__x86_64__)
#include <emmintrin.h>
#endif

#include "tx.h"

/* Else the processor reads ahead, and what is timed is over before it begins. */
static inline void
wait_for_reads (void)
{
#if defined(__x86_64__)
  _mm_lfence ();
#endif
}

enum
{
  /* 20 to 60 with a common cache, and 120 to 150 without, where it was measured. */
  FAR_NS = 90,
  SAMPLES = 8,
  EACH = 64, /* bursts */
};

void
tx_learn_distance (queue_t *q, uint64_t ns)
{
  q->far_samples = (uint8_t) (q->far_samples + (ns >= FAR_NS));
  if (++q->samples < SAMPLES)
    return;
  /* Where the program says where its buffers lie, they may not take whole lines. */
  q->far = q->far_samples >= SAMPLES / 2 && (!q->slave || q->small_size);
  q->samples = q->far_samples = 0;
}

void
tx_measure (queue_t *q)
{
  q->until_measured = EACH;
  (void) now_ns (); /* what the clock itself reads may be out of the cache */
  const uint64_t begin = now_ns (), middle = now_ns ();
  wait_for_reads ();
  const uint16_t counter = tx_peer_counter (q);
  wait_for_reads ();
  const uint64_t end = now_ns (), clock = middle - begin, both = end - middle;
  if (counter != q->peer)
    tx_learn_distance (q, both > clock ? both - clock : 0);
}
