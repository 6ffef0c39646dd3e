/* What a packet costs, sent and received by one thread, copied in and copied out.
 *
 *   make bench && build/loop floor|buffers|bursts LEN BURST [SECONDS]
 *
 * floor:   no library: the protocol's ring, each check of a descriptor, the two copies, the two
 * counters
 * buffers: the calls of libmemif 4.0, in place, with copies of our own
 * bursts:  memif_ext_tx_burst and memif_ext_rx_burst
 *
 * A slave sends, a master receives, as to the floor also. Numbers in the packets are checked. */
#define _GNU_SOURCE
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <libmemif_ext.h>

enum { SLOTS = 1024, BUFFER = 2048 };

/* What the rounds have in common; copied, as the compiler can't keep globals over writes of
 * bytes. */
typedef struct
{
  unsigned len, burst;
  uint64_t sent, received, wrong;
  uint8_t *source, *arena;
} load_t;

static void
fatal (const char *what, int err)
{
  fprintf (stderr, "%s: %s\n", what, memif_strerror (err));
  exit (1);
}

static double
now (void)
{
  struct timespec t;
  clock_gettime (CLOCK_MONOTONIC, &t);
  return (double) t.tv_sec + (double) t.tv_nsec * 1e-9;
}

/* The source with the next number. */
static inline const uint8_t *
packet (load_t *l)
{
  memcpy (l->source, &l->sent, 8);
  l->sent++;
  return l->source;
}

static inline void
check (load_t *l, const uint8_t *data)
{
  uint64_t number;
  memcpy (&number, data, 8);
  l->wrong += number != l->received++;
}

/* As the library has it, without a call where it is short. */
static inline void
copy (uint8_t *to, const uint8_t *from, unsigned n)
{
  if (n <= 64)
    memcpy (to, from, 64);
  else
    memcpy (to, from, n);
}

typedef struct
{
  uint16_t flags, region;
  uint32_t length, offset, metadata;
} floor_desc_t;

static struct
{
  _Atomic uint16_t head;
  char pad0[62];
  _Atomic uint16_t tail;
  char pad1[62];
  floor_desc_t desc[SLOTS];
} ring;

static uint8_t *region;

static void
floor_rounds (load_t *load, unsigned rounds)
{
  const uint64_t region_size = (uint64_t) SLOTS * BUFFER;
  static uint32_t own[SLOTS], at[SLOTS];
  uint8_t *const bytes = region;
  load_t l = *load;
  uint16_t last = atomic_load (&ring.tail);

  for (uint32_t i = 0; i < SLOTS; i++)
    own[i] = i * BUFFER;
  for (; rounds > 0; rounds--)
    {
      uint16_t head = atomic_load_explicit (&ring.head, memory_order_relaxed);
      const uint16_t tail = atomic_load_explicit (&ring.tail, memory_order_acquire);
      if ((uint16_t) (head - tail) + l.burst > SLOTS)
	exit (1);
      for (unsigned i = 0; i < l.burst; i++, head++)
	{
	  const uint32_t offset = own[head % SLOTS];
	  copy (bytes + offset, packet (&l), l.len);
	  ring.desc[head % SLOTS] = (floor_desc_t){ .region = 1, .length = l.len, .offset = offset };
	}
      atomic_store_explicit (&ring.head, head, memory_order_release);

      head = atomic_load_explicit (&ring.head, memory_order_acquire);
      uint32_t used = 0;
      unsigned n = 0;
      for (; last != head; n++, last++)
	{
	  const floor_desc_t d = *(volatile floor_desc_t *) &ring.desc[last % SLOTS];
	  if (d.region != 1 || (uint64_t) d.offset + d.length > region_size || d.length > BUFFER)
	    exit (1);
	  copy (l.arena + used, bytes + d.offset, d.length);
	  at[n] = used;
	  used += (d.length + 63) & ~63u;
	}
      atomic_store_explicit (&ring.tail, last, memory_order_release);
      for (unsigned i = 0; i < n; i++)
	check (&l, l.arena + at[i]);
    }
  *load = l;
}

static int ups;

static int
on_change (memif_conn_handle_t conn, void *ctx)
{
  (void) conn;
  (void) ctx;
  ups++;
  return 0;
}

static memif_conn_handle_t
connect_as (int is_master, memif_socket_handle_t *sock)
{
  memif_socket_args_t sa = { .app_name = "loop" };
  snprintf (sa.path, sizeof sa.path, "@memif-loop-%d", (int) getpid ());
  int err = memif_create_socket (sock, &sa, NULL);
  if (err)
    fatal ("memif_create_socket", err);
  memif_conn_args_t args = { .socket = *sock,
			     .is_master = (uint8_t) is_master,
			     .log2_ring_size = 10,
			     .buffer_size = BUFFER,
			     .num_s2m_rings = 1,
			     .num_m2s_rings = 1,
			     .interface_name = "loop" };
  memif_conn_handle_t conn = NULL;
  if ((err = memif_create (&conn, &args, on_change, on_change, NULL, NULL)))
    fatal ("memif_create", err);
  return conn;
}

static memif_conn_handle_t master, slave;
static memif_buffer_t *to, *from;

static void
buffers_rounds (load_t *load, unsigned rounds)
{
  load_t l = *load;
  const size_t stride = (l.len + 63) & ~63u;
  for (; rounds > 0; rounds--)
    {
      uint16_t n = 0, out = 0, in = 0;
      int err = memif_buffer_alloc (slave, 0, to, (uint16_t) l.burst, &n, (uint16_t) l.len);
      if (err)
	fatal ("memif_buffer_alloc", err);
      for (unsigned i = 0; i < n; i++)
	{
	  copy (to[i].data, packet (&l), l.len);
	  to[i].len = l.len;
	}
      if ((err = memif_tx_burst (slave, 0, to, n, &out)))
	fatal ("memif_tx_burst", err);
      if ((err = memif_rx_burst (master, 0, from, (uint16_t) l.burst, &in)))
	fatal ("memif_rx_burst", err);
      for (unsigned i = 0; i < in; i++)
	{
	  copy (l.arena + i * stride, from[i].data, from[i].len);
	  check (&l, l.arena + i * stride);
	}
      if ((err = memif_refill_queue (master, 0, in, 0)))
	fatal ("memif_refill_queue", err);
    }
  *load = l;
}

static memif_ext_slice_t *slices;
static memif_ext_packet_t *records;
static uint8_t *numbers; /* the packets share their memory: each begins 8 bytes after the one before */

static void
bursts_rounds (load_t *load, unsigned rounds)
{
  load_t l = *load;
  for (; rounds > 0; rounds--)
    {
      uint16_t out = 0, in = 0;
      for (unsigned i = 0; i < l.burst; i++, l.sent++)
	{
	  memcpy (numbers + i * 8, &l.sent, 8);
	  slices[i] = (memif_ext_slice_t){ .data = numbers + i * 8, .len = l.len };
	}
      int err = memif_ext_tx_burst (slave, 0, slices, (uint16_t) l.burst, &out);
      if (err || out != l.burst)
	fatal ("memif_ext_tx_burst", err);
      err = memif_ext_rx_burst (master, 0, l.arena, SLOTS * BUFFER, BUFFER, records,
				(uint16_t) l.burst, &in);
      if (err)
	fatal ("memif_ext_rx_burst", err);
      for (unsigned i = 0; i < in; i++)
	check (&l, l.arena + records[i].offset);
    }
  *load = l;
}

int
main (int argc, char **argv)
{
  void (*run) (load_t *, unsigned) = NULL;
  load_t l = { 0 };
  if (argc > 3)
    {
      run = !strcmp (argv[1], "floor")	   ? floor_rounds
	    : !strcmp (argv[1], "buffers") ? buffers_rounds
	    : !strcmp (argv[1], "bursts")  ? bursts_rounds
					   : NULL;
      l.len = (unsigned) atoi (argv[2]);
      l.burst = (unsigned) atoi (argv[3]);
    }
  if (!run || l.len < 8 || l.len > BUFFER || l.burst < 1 || l.burst > SLOTS)
    {
      fprintf (stderr, "usage: loop floor|buffers|bursts LEN BURST [SECONDS]\n");
      return 2;
    }
  const double seconds = argc > 4 ? atof (argv[4]) : 1;
  region = aligned_alloc (4096, SLOTS * BUFFER);
  l.arena = aligned_alloc (64, SLOTS * BUFFER);
  l.source = aligned_alloc (64, BUFFER);
  to = calloc (l.burst, sizeof *to);
  from = calloc (l.burst, sizeof *from);
  slices = calloc (l.burst, sizeof *slices);
  records = calloc (l.burst, sizeof *records);
  numbers = calloc (l.burst * 8 + l.len, 1);
  if (!region || !l.arena || !l.source || !to || !from || !slices || !records || !numbers)
    return 1;
  memset (region, 1, SLOTS * BUFFER);
  memset (l.arena, 1, SLOTS * BUFFER);
  memset (l.source, 2, BUFFER);
  if (run != floor_rounds)
    {
      memif_socket_handle_t for_master, for_slave;
      master = connect_as (1, &for_master);
      slave = connect_as (0, &for_slave);
      while (ups < 2)
	{
	  memif_poll_event (for_master, 1);
	  memif_poll_event (for_slave, 1);
	}
      memif_set_rx_mode (master, MEMIF_RX_MODE_POLLING, 0);
    }

  const double start = now ();
  double time;
  do
    {
      run (&l, 8192 / l.burst);
      time = now () - start;
    }
  while (time < seconds);
  if (l.sent != l.received || l.wrong)
    {
      fprintf (stderr, "%llu sent, %llu received, %llu out of order\n", (unsigned long long) l.sent,
	       (unsigned long long) l.received, (unsigned long long) l.wrong);
      return 1;
    }
  printf ("%s len %u burst %u packets %llu ns_per_packet %.3f\n", argv[1], l.len, l.burst,
	  (unsigned long long) l.received, time / (double) l.received * 1e9);
  return 0;
}
