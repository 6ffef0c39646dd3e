/* What processes share when they connect to one socket: places for unfinished handshakes,
 * mappings, and the control thread's time. */
#define _GNU_SOURCE
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "raw.h"

/* The next message is of this type. */
static bool
comes (int wire, uint8_t type)
{
  uint8_t m[128];
  return recv (wire, m, sizeof m, 0) == sizeof m && m[0] == type;
}

enum { ACK = 1, HELLO = 2, CONNECTED = 7, SLOW_MS = 20, TRIES = 20 };
static const uint8_t init[128] = { 3, 0, 0, 2 };

enum { FLOOD_MS = 20 * AT_ONCE_MS };

static void
connect_without_end (const char *path, int number)
{
  (void) number;
  int wires[200];
  for (int i = 0; i < 200; i++)
    wires[i] = -1;
  for (uint64_t end = now_ms () + FLOOD_MS; now_ms () < end;)
    for (int i = 0; i < 200; i++)
      {
	close (wires[i]);
	wires[i] = connect_to (path);
      }
}

static void
connect_and_stay (const char *path, int number)
{
  for (int i = 0; i < 3; i++)
    connect_to (path);
  (void) number;
}

/* Each of its handshakes lives until its INIT, which is for an interface that is not there. */
static void
need_a_while (const char *path, int number)
{
  (void) number;
  for (int i = 0; i < TRIES; i++)
    {
      int wire;
      while ((wire = connect_to (path)) < 0)
	poll (NULL, 0, 1);
      CHECK (comes (wire, HELLO));
      poll (NULL, 0, SLOW_MS);
      uint8_t m[128] = { 3, 0, 0, 2, 99 };
      send_with (wire, m, sizeof m, NULL, 0);
      EQUAL (recv (wire, m, sizeof m, 0), sizeof m);
      m[sizeof m - 1] = 0;
      if (!strstr ((char *) m + 6, "unmatched"))
	failed (__FILE__, __LINE__, (char *) m + 6);
      close (wire);
    }
}

static void
few_places (memif_socket_handle_t sock, bool master)
{
  (void) master;
  OK (memif_ext_configure_socket (sock, &(memif_ext_socket_args_t){ .max_half_open = 16 }));
}

static void
one_process_does_not_drive_others_out (void)
{
  for (int variant = 0; variant < 2; variant++)
    {
      const char *path = fresh_path ();
      side_t master = { 0 };
      attacker_t a[6];
      int attackers = variant ? 6 : 1;
      side_open (&master, path, true, (settings_t){ .prepare = few_places });
      unsigned fds = open_fds ();
      for (int i = 0; i < attackers; i++)
	a[i] = attacker_begin (variant ? connect_and_stay : connect_without_end, path, 0);
      uint64_t end = now_ms () + 100;
      while (now_ms () < end)
	OK (memif_poll_event (master.sock, 1));
      attacker_t slow = attacker_begin (need_a_while, path, 0);
      longest_turn (&master, &slow);
      for (int i = 0; i < attackers; i++)
	attacker_end (&a[i]);
      attacker_end (&slow);
      end = now_ms () + 100;
      while (now_ms () < end)
	OK (memif_poll_event (master.sock, 1));
      FDS_BACK (fds);
      side_close (&master);
    }
}

/* A process that connects all its interfaces at once finishes the handshakes that it began. */

static void
connect_all_at_once (const char *path, int number)
{
  enum { ALL = 40 };
  (void) number;
  int wires[ALL], begun = 0;
  for (int i = 0; i < ALL; i++)
    CHECK ((wires[i] = connect_to (path)) >= 0);
  for (int i = 0; i < ALL; i++)
    {
      uint8_t m[128] = { 3, 0, 0, 2, 99 };
      if (!comes (wires[i], HELLO))
	continue; /* refused, and may try again */
      begun++;
      send_with (wires[i], m, sizeof m, NULL, 0);
      EQUAL (recv (wires[i], m, sizeof m, 0), sizeof m);
      m[sizeof m - 1] = 0;
      if (!strstr ((char *) m + 6, "unmatched"))
	failed (__FILE__, __LINE__, (char *) m + 6);
    }
  CHECK (begun >= 12);
}

static void
a_process_does_not_drive_itself_out (void)
{
  const char *path = fresh_path ();
  side_t master = { 0 };
  side_open (&master, path, true, (settings_t){ .prepare = few_places });
  attacker_t a = attacker_begin (connect_all_at_once, path, 0);
  longest_turn (&master, &a);
  attacker_end (&a);
  side_close (&master);
}

/* Mappings: as many regions as there may be, and links whose packets nobody reads. */

static void
put (uint8_t *m, size_t at, const void *value, size_t size)
{
  memcpy (m + at, value, size);
}

static int
region_of (size_t size)
{
  int fd = memfd_create ("memif attack", MFD_ALLOW_SEALING | MFD_CLOEXEC);
  CHECK (fd >= 0 && ftruncate (fd, (off_t) size) == 0);
  return fd;
}

/* A link of an interface with this number of regions and a packet on its ring. */
static bool
fill_link (const char *path, uint32_t id, uint16_t regions)
{
  int wire = connect_to (path), efd = eventfd (0, 0);
  uint8_t m[128] = { 3, 0, 0, 2 };
  if (wire < 0 || !comes (wire, HELLO))
    goto refused;
  put (m, 4, &id, sizeof id);
  if (!send_with (wire, m, sizeof m, NULL, 0) || !comes (wire, ACK))
    goto refused;
  uint64_t size = 4096;
  int rings = region_of (size);
  uint8_t *ring = mmap (NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, rings, 0);
  CHECK (ring != MAP_FAILED);
  uint32_t cookie = 0x3E31F20;
  put (ring, 0, &cookie, sizeof cookie);
  put (ring, 512, &cookie, sizeof cookie);
  for (uint16_t i = 0; i < regions; i++)
    {
      uint8_t region[128] = { 4 };
      put (region, 2, &i, sizeof i);
      put (region, 4, &size, sizeof size);
      int fd = i ? region_of (size) : rings;
      bool sent = send_with (wire, region, sizeof region, &fd, 1);
      close (fd);
      if (!sent || !comes (wire, ACK))
	goto unmap;
    }
  for (uint8_t s2m = 2; s2m-- > 0;)
    {
      uint8_t add[128] = { 5, 0, s2m, 0, 0, 0, 0, 0, 0, (uint8_t) (s2m ? 0 : 2), 0, 0, 2 };
      if (!send_with (wire, add, sizeof add, &efd, 1) || !comes (wire, ACK))
	goto unmap;
    }
  uint8_t connect[128] = { 6 };
  if (!send_with (wire, connect, sizeof connect, NULL, 0) || !comes (wire, CONNECTED))
    goto unmap;
  uint16_t one = 1;
  put (ring, 6, &one, sizeof one); /* an empty packet in the first slot */
  munmap (ring, size);
  close (wire);
  close (efd);
  return true;

unmap:
  munmap (ring, size);
refused:
  close (wire);
  close (efd);
  return false;
}

enum { INTERFACES = 8, LINKS = 20 };

static void
leave_links (const char *path, int number)
{
  (void) number;
  for (uint32_t id = 0; id < INTERFACES; id++)
    for (int i = 0; i < LINKS; i++)
      fill_link (path, id, 256);
}

static unsigned
mappings_of_peers (void)
{
  unsigned count = 0;
  char line[512];
  FILE *f = fopen ("/proc/self/maps", "r");
  CHECK (f);
  while (fgets (line, sizeof line, f))
    count += strstr (line, "memif attack") != NULL;
  fclose (f);
  return count;
}

static void
links_that_nobody_reads_hold_few_mappings (void)
{
  const char *path = fresh_path ();
  memif_socket_handle_t sock = socket_new (path, 5);
  side_t of_sock = { .sock = sock };
  memif_conn_handle_t conns[INTERFACES];
  for (uint32_t id = 0; id < INTERFACES; id++)
    {
      memif_conn_args_t args = { .socket = sock, .is_master = 1, .interface_id = id };
      memif_ext_conn_args_t ext = { .keep_unread = 1 };
      OK (memif_ext_create (&conns[id], &args, &ext, (memif_connection_update_t *) NULL, NULL, NULL, NULL));
    }
  unsigned fds = open_fds ();
  attacker_t a = attacker_begin (leave_links, path, 0);
  longest_turn (&of_sock, &a);
  unsigned held = mappings_of_peers ();
  printf ("  %u mappings\n", held);
  CHECK (held > 256 && held <= INTERFACES * 1024);
  /* One descriptor for each ring of their links, and none for their memory. */
  CHECK (open_fds () <= fds + 2 * (held / 256 + INTERFACES));
  attacker_end (&a);
  /* The packets can be read still, and with them goes all that was held. */
  for (uint32_t id = 0; id < INTERFACES; id++)
    {
      uint8_t bytes[64];
      memif_ext_packet_t packet;
      uint16_t n = 0;
      while (memif_ext_rx_burst (conns[id], 0, bytes, sizeof bytes, sizeof bytes, &packet, 1, &n) == MEMIF_ERR_SUCCESS)
	OK (memif_poll_event (sock, 0));
    }
  uint64_t end = now_ms () + LONG_MS;
  while (mappings_of_peers () > 0)
    CHECK (now_ms () < end);
  FDS_BACK (fds);
  for (uint32_t id = 0; id < INTERFACES; id++)
    OK (memif_delete (&conns[id]));
  OK (memif_delete_socket (&sock));
}

/* Each answer comes within the deadline of a handshake, and all of them do not. */

static void
answer_slowly (const char *path, int number)
{
  (void) number;
  int wire = connect_to (path);
  CHECK (comes (wire, HELLO));
  poll (NULL, 0, 60);
  CHECK (send_with (wire, init, sizeof init, NULL, 0) && comes (wire, ACK));
  uint64_t size = 4096, start = now_ms ();
  for (uint16_t i = 0; i < 256; i++)
    {
      uint8_t region[128] = { 4 };
      put (region, 2, &i, sizeof i);
      put (region, 4, &size, sizeof size);
      int fd = region_of (size);
      poll (NULL, 0, 60);
      if (!send_with (wire, region, sizeof region, &fd, 1) || !comes (wire, ACK))
	break;
      close (fd);
    }
  CHECK (now_ms () - start < 2000); /* 256 of them take 15 seconds */
}

static void
little_time (memif_socket_handle_t sock, bool master)
{
  (void) master;
  OK (memif_ext_configure_socket (sock, &(memif_ext_socket_args_t){ .handshake_ms = 200 }));
}

static void
the_deadline_is_that_of_the_whole_handshake (void)
{
  const char *path = fresh_path ();
  side_t master = { 0 };
  side_open (&master, path, true, (settings_t){ .prepare = little_time });
  attacker_t a = attacker_begin (answer_slowly, path, 0);
  longest_turn (&master, &a);
  attacker_end (&a);
  side_close (&master);
}

/* Other links come up while a process connects as often as it can: a hundred of them before it ends,
 * which takes a tenth of it if there is time for them, and else longer than all of it. */
static void
a_flood_of_connections_leaves_time_for_others (void)
{
  const char *path = fresh_path ();
  pair_t p = { 0 };
  side_open (&p.master, path, true, (settings_t){ 0 });
  attacker_t a = attacker_begin (connect_without_end, path, 0);
  uint64_t end = now_ms () + FLOOD_MS;
  for (uint32_t i = 0; i < 100; i++)
    {
      p.slave.ups = p.slave.downs = p.master.ups = p.master.downs = 0;
      side_open (&p.slave, path, false, (settings_t){ 0 });
      pair_up (&p);
      cross (&p.slave, &p.master, 0, i, 100);
      side_close (&p.slave);
      while (p.master.downs < p.master.ups)
	OK (memif_poll_event (p.master.sock, 1));
      CHECK (now_ms () < end);
    }
  attacker_end (&a);
  side_close (&p.master);
}

int
main (int argc, char **argv)
{
  static const test_t tests[] = {
    { "one_process_does_not_drive_others_out", one_process_does_not_drive_others_out },
    { "a_process_does_not_drive_itself_out", a_process_does_not_drive_itself_out },
    { "links_that_nobody_reads_hold_few_mappings", links_that_nobody_reads_hold_few_mappings },
    { "the_deadline_is_that_of_the_whole_handshake", the_deadline_is_that_of_the_whole_handshake },
    { "a_flood_of_connections_leaves_time_for_others", a_flood_of_connections_leaves_time_for_others },
  };
  return RUN (argc, argv, tests);
}
