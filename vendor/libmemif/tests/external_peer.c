/* A peer for tests of others: external_peer SOCKET. A slave whose buffers lie in memory of its
 * own; it sends back what comes, without a copy, and ends with the link. */
#define _GNU_SOURCE
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "support.h"

static uint8_t *start;
static uint32_t size_of, next;

static int
add (void **addr, uint32_t size, int *fd, void *ctx)
{
  (void) ctx;
  *fd = memfd_create ("external", MFD_ALLOW_SEALING);
  CHECK (*fd >= 0 && ftruncate (*fd, size) == 0);
  *addr = start = mmap (NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, *fd, 0);
  CHECK (start != MAP_FAILED);
  size_of = size;
  next = size;
  return 0;
}

static int
del (void *addr, uint32_t size, int fd, void *ctx)
{
  (void) ctx;
  CHECK (addr == start && munmap (addr, size) == 0 && close (fd) == 0);
  start = NULL;
  return 0;
}

static uint32_t
get_offset (void *ctx)
{
  const side_t *side = ctx;
  return next -= side->args.buffer_size; /* from the last to the first */
}

static void
prepare (memif_socket_handle_t sock, bool master)
{
  (void) master;
  OK (memif_register_external_region (sock, add, NULL, del, get_offset));
}

int
main (int argc, char **argv)
{
  CHECK (argc == 2);
  side_t me = { 0 };
  unsigned long count = 0;
  side_open (&me, argv[1], false,
	     (settings_t){ .log2_ring_size = 6, .buffer_size = 512, .prepare = prepare });
  while (me.ups == 0 || me.ups > me.downs)
    {
      memif_buffer_t b[64];
      uint16_t n = 0, moved = 0;
      OK (memif_poll_event (me.sock, 1));
      if (me.ups == me.downs)
	continue;
      int err = memif_rx_burst (me.conn, 0, b, 64, &n);
      if (err == MEMIF_ERR_DISCONNECTED)
	continue;
      OK (err);
      for (uint16_t i = 0; i < n; i++)
	CHECK ((uint8_t *) b[i].data >= start && (uint8_t *) b[i].data < start + size_of);
      if (n == 0)
	continue;
      OK (memif_buffer_enq_tx (me.conn, 0, b, n, &moved));
      OK (memif_refill_queue (me.conn, 0, n, 0));
      OK (memif_tx_burst (me.conn, 0, b, n, &moved));
      count += n;
    }
  side_close (&me);
  CHECK (!start);
  printf ("%lu buffers\n", count);
  return 0;
}
