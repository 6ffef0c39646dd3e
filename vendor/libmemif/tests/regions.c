/* Buffers in memory that the program brings. */
#define _GNU_SOURCE
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support.h"

enum { LOG2 = 4, SLOTS = 1 << LOG2, BUFFER = 512, BUFFERS = 2 * SLOTS };

/* What the program has mapped, for each side. */
typedef struct
{
  uint8_t *addr;
  uint32_t size;
  int fd, made, ended;
  uint32_t next; /* buffer to be given out */
} memory_t;

static memory_t of_slave, of_master;
static bool out_of_bounds;

static int
add (void **addr, uint32_t size, int *fd, void *ctx)
{
  memory_t *m = &of_slave;
  CHECK (ctx && m->made == m->ended); /* the former one is given back first */
  m->size = size;
  m->fd = memfd_create ("program", MFD_ALLOW_SEALING);
  CHECK (m->fd >= 0 && ftruncate (m->fd, size) == 0);
  m->addr = mmap (NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, m->fd, 0);
  CHECK (m->addr != MAP_FAILED);
  *addr = m->addr;
  *fd = m->fd;
  m->next = 0;
  m->made++;
  return 0;
}

static void *
get_addr (uint32_t size, int fd, void *ctx)
{
  memory_t *m = &of_master;
  CHECK (ctx && m->made == m->ended);
  m->addr = mmap (NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  CHECK (m->addr != MAP_FAILED);
  m->size = size;
  m->fd = fd;
  m->made++;
  return m->addr;
}

static int
del (void *addr, uint32_t size, int fd, void *ctx)
{
  memory_t *m = of_slave.addr == addr ? &of_slave : &of_master;
  CHECK (ctx && m->addr == addr && m->size == size && m->fd == fd && m->made == m->ended + 1);
  CHECK (munmap (addr, size) == 0 && close (fd) == 0);
  m->addr = NULL;
  m->ended++;
  return 0;
}

/* From the last buffer to the first, as nobody promised an order. */
static uint32_t
get_offset (void *ctx)
{
  CHECK (ctx);
  uint32_t n = of_slave.next++;
  if (out_of_bounds && n == 20)
    return of_slave.size - BUFFER + 1;
  return (BUFFERS - 1 - n) * BUFFER;
}

static void
without_offsets (memif_socket_handle_t sock, bool master)
{
  OK (memif_register_external_region (sock, master ? NULL : add, NULL, master ? NULL : del, NULL));
}

static void
with_offsets (memif_socket_handle_t sock, bool master)
{
  OK (memif_register_external_region (sock, master ? NULL : add, NULL, master ? NULL : del,
				      master ? NULL : get_offset));
}

static void
on_both_sides (memif_socket_handle_t sock, bool master)
{
  OK (memif_register_external_region (sock, master ? NULL : add, master ? get_addr : NULL, del,
				      master ? NULL : get_offset));
}

static void
start (void)
{
  of_slave = of_master = (memory_t){ 0 };
  out_of_bounds = false;
}

static bool
inside (const memory_t *m, const void *data)
{
  return (const uint8_t *) data >= m->addr && (const uint8_t *) data < m->addr + m->size;
}

static void
packets_cross (pair_t *p)
{
  memif_buffer_t b;
  uint16_t n = 0;
  OK (memif_buffer_alloc (p->slave.conn, 0, &b, 1, &n, 100));
  CHECK (inside (&of_slave, b.data));
  OK (memif_set_next_free_buffer (p->slave.conn, 0, &b));
  for (uint32_t i = 0; i < 300; i++)
    {
      cross (&p->slave, &p->master, 0, i, (uint16_t) (1 + i * 23 % 4000));
      cross (&p->master, &p->slave, 0, i, (uint16_t) (1 + i * 29 % 4000));
    }
  /* The copying calls use the same buffers, the small ones' too. */
  static uint8_t arena[SLOTS * BUFFER], bytes[4000];
  for (uint32_t length = 1; length < sizeof bytes; length += 101)
    {
      pattern (bytes, length, length);
      memif_ext_slice_t packets[2] = { { bytes, length }, { bytes, 1 } };
      memif_ext_packet_t got[2];
      OK (memif_ext_tx_burst (p->slave.conn, 0, packets, 2, &n));
      EQUAL (n, 2);
      OK (memif_ext_rx_burst (p->master.conn, 0, arena, sizeof arena, sizeof bytes, got, 2, &n));
      EQUAL (n, 2);
      EQUAL (got[0].length, length);
      CHECK (is_pattern (arena + got[0].offset, length, length));
    }
  /* Moved without a copy. */
  for (uint32_t i = 0; i < 100; i++)
    {
      OK (send_packet (p->master.conn, 0, i, 200));
      OK (memif_rx_burst (p->slave.conn, 0, &b, 1, &n));
      CHECK (inside (&of_slave, b.data));
      OK (memif_buffer_enq_tx (p->slave.conn, 0, &b, 1, &n));
      EQUAL (n, 1);
      OK (memif_refill_queue (p->slave.conn, 0, 1, 0));
      OK (memif_tx_burst (p->slave.conn, 0, &b, 1, &n));
      EQUAL (receive_packet (p->master.conn, 0, bytes, sizeof bytes), 200);
      CHECK (is_pattern (bytes, i, 200));
    }
  memif_details_t d;
  static char memory[4096];
  OK (memif_get_details (p->slave.conn, &d, memory, sizeof memory));
  EQUAL (d.regions_num, 2);
  CHECK (!d.regions[0].is_external && d.regions[1].is_external && d.regions[1].addr == of_slave.addr);
}

static void
over_many_links (void (*prepare) (memif_socket_handle_t, bool), bool master_too)
{
  unsigned fds = open_fds ();
  start ();
  pair_t p = { 0 };
  const char *path = fresh_path ();
  settings_t settings
    = { .log2_ring_size = LOG2, .buffer_size = BUFFER, .prepare = prepare, .ext.keep_unread = 1 };
  side_open (&p.slave, path, false, settings);
  for (int links = 1; links <= 3; links++)
    {
      p.master = (side_t){ 0 };
      p.slave.ups = p.slave.downs = 0;
      side_open (&p.master, path, true, settings);
      pair_up (&p);
      EQUAL (of_slave.made, links);
      EQUAL (of_master.made, master_too ? links : 0);
      packets_cross (&p);
      /* What had arrived is readable after the link's end, so its memory is there. */
      OK (send_packet (p.master.conn, 0, 77, 300));
      OK (memif_delete (&p.master.conn));
      OK (memif_delete_socket (&p.master.sock));
      EQUAL (of_master.ended, of_master.made);
      while (!p.slave.downs)
	OK (memif_poll_event (p.slave.sock, 1));
      EQUAL (of_slave.ended, links - 1);
      uint8_t bytes[400];
      memif_buffer_t b;
      uint16_t n = 0;
      OK (memif_rx_burst (p.slave.conn, 0, &b, 1, &n));
      EQUAL (n, 1);
      memcpy (bytes, b.data, b.len);
      CHECK (b.len == 300 && is_pattern (bytes, 77, 300));
    }
  side_close (&p.slave);
  EQUAL (of_slave.ended, 3);
  FDS_BACK (fds);
}

static void
laid_out_by_the_library (void)
{
  over_many_links (without_offsets, false);
}

static void
laid_out_by_the_program (void)
{
  over_many_links (with_offsets, false);
  EQUAL (of_slave.next, BUFFERS);
  EQUAL (of_slave.size, BUFFERS * BUFFER);
}

static void
mapped_by_the_master_s_program (void)
{
  over_many_links (on_both_sides, true);
}

/* What does not work is refused with a reason, and leaves nothing behind. */

static int
add_nothing (void **addr, uint32_t size, int *fd, void *ctx)
{
  (void) addr, (void) size, (void) fd, (void) ctx;
  return MEMIF_ERR_NOMEM;
}

static void *
map_nothing (uint32_t size, int fd, void *ctx)
{
  (void) size, (void) fd, (void) ctx;
  return NULL;
}

static void
bad_add (memif_socket_handle_t sock, bool master)
{
  OK (memif_register_external_region (sock, master ? NULL : add_nothing, NULL, del, NULL));
}

static void
bad_get_addr (memif_socket_handle_t sock, bool master)
{
  OK (memif_register_external_region (sock, NULL, master ? map_nothing : NULL, del, NULL));
}

static void
refused (void (*prepare) (memif_socket_handle_t, bool), const char *reason)
{
  unsigned fds = open_fds ();
  pair_t p = { 0 };
  const char *path = fresh_path ();
  settings_t settings = { .log2_ring_size = LOG2, .buffer_size = BUFFER, .prepare = prepare };
  side_open (&p.master, path, true, settings);
  side_open (&p.slave, path, false, settings);
  static char memory[4096];
  memif_details_t d;
  uint64_t end = now_ms () + LONG_MS;
  do
    {
      CHECK (now_ms () < end && !p.slave.ups);
      pair_turn (&p);
      OK (memif_get_details (p.slave.conn, &d, memory, sizeof memory));
    }
  while (!strstr ((char *) d.error, reason));
  pair_close (&p);
  EQUAL (of_slave.made, of_slave.ended);
  FDS_BACK (fds);
}

static void
what_does_not_work_is_refused (void)
{
  start ();
  refused (bad_add, "the program did not add");
  refused (bad_get_addr, "the program did not map");
  out_of_bounds = true;
  refused (with_offsets, "outside of its external region");
  CHECK (of_slave.made > 0);
  memif_socket_handle_t sock = socket_new (fresh_path (), 0);
  FAILS (memif_register_external_region (sock, NULL, NULL, NULL, get_offset), MEMIF_ERR_INVAL_ARG);
  FAILS (memif_register_external_region (NULL, add, NULL, NULL, NULL), MEMIF_ERR_INVAL_ARG);
  OK (memif_delete_socket (&sock));
}

int
main (int argc, char **argv)
{
  static const test_t tests[] = {
    { "laid_out_by_the_library", laid_out_by_the_library },
    { "laid_out_by_the_program", laid_out_by_the_program },
    { "mapped_by_the_master_s_program", mapped_by_the_master_s_program },
    { "what_does_not_work_is_refused", what_does_not_work_is_refused },
  };
  return RUN (argc, argv, tests);
}
