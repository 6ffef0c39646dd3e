/* What a peer can't be made to do by the calls of the library: the core's own memory is changed. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "support.h"

#include "control.h"
#include "tx.h"

static uint8_t bytes[4096];

/* Buffers come back slot by slot; those of a counter that goes back would be given out twice. */
static void
a_senders_counter_does_not_go_back (void)
{
  pair_t p = { 0 };
  pair_open (&p, (settings_t){ .log2_ring_size = 4 });
  for (uint32_t i = 0; i < 5; i++)
    cross (&p.slave, &p.master, 0, i, 64);
  queue_t *q = ((conn_t *) p.slave.conn)->tx[0];
  EQUAL (atomic_load (&q->ring->tail), 5);
  EQUAL (tx_free_slots (q), 16);
  atomic_store (&q->ring->tail, 3);
  EQUAL (tx_free_slots (q), -1);
  pair_close (&p);
}

/* Nor does a master take slots that a slave does not have, or has taken back. */
static void
a_masters_slots_are_those_of_the_ring (void)
{
  static const uint16_t offered[] = { 17, 2 };
  for (int i = 0; i < 2; i++)
    {
      pair_t p = { 0 };
      pair_open (&p, (settings_t){ .log2_ring_size = 4 });
      queue_t *q = ((conn_t *) p.master.conn)->tx[0];
      EQUAL (tx_free_slots (q), 16);
      memif_buffer_t b[4];
      uint16_t n = 0;
      OK (memif_buffer_alloc (p.master.conn, 0, b, 4, &n, 64));
      EQUAL (tx_free_slots (q), 12);
      atomic_store (&q->ring->head, offered[i]);
      EQUAL (tx_free_slots (q), -1);
      EQUAL (q->fault, FAULT_NEW);
      pair_close (&p);
    }
}

/* The peer's pool goes on using it: nothing is read there once the link is down. */
static void
unsealed_memory_of_a_waiting_link_is_left (void)
{
  for (int unsealed = 0; unsealed < 2; unsealed++)
    {
      pair_t p = { 0 };
      settings_t settings = { .log2_ring_size = 4, .ext = { .keep_unread = 1 } };
      pair_open (&p, settings);
      conn_t *master = p.master.conn;
      char path[108];
      snprintf (path, sizeof path, "%s", master->sock->path);
      /* The packet of the first link is not read, so that the second waits behind it. */
      for (uint32_t link = 1; link <= 2; link++)
	{
	  OK (send_packet (p.slave.conn, 0, link, 64));
	  queue_t *q = master->rx[0];
	  EQUAL (q->num_pending, link - 1);
	  if (link == 2)
	    q->pending[0].link->unsealed = unsealed;
	  side_close (&p.slave);
	  while (p.master.downs < (int) link)
	    OK (memif_poll_event (p.master.sock, 10));
	  side_open (&p.slave, path, false, settings);
	  if (link == 1)
	    pair_up (&p);
	}
      EQUAL (receive_packet (p.master.conn, 0, bytes, sizeof bytes), 64);
      CHECK (is_pattern (bytes, 1, 64));
      EQUAL (receive_packet (p.master.conn, 0, bytes, sizeof bytes), unsealed ? -1 : 64);
      pair_close (&p);
    }
}

static void
unsealed_memory_of_an_ended_link_is_left (void)
{
  for (int unsealed = 0; unsealed < 2; unsealed++)
    {
      pair_t p = { 0 };
      pair_open (&p, (settings_t){ .log2_ring_size = 4 });
      OK (send_packet (p.slave.conn, 0, 1, 64));
      ((conn_t *) p.master.conn)->link->unsealed = unsealed;
      side_close (&p.slave);
      while (!p.master.downs)
	OK (memif_poll_event (p.master.sock, 10));
      EQUAL (receive_packet (p.master.conn, 0, bytes, sizeof bytes), unsealed ? -1 : 64);
      side_close (&p.master);
    }
}

/* Its end does not come any more. */
static void
a_chain_without_an_end_goes_with_its_link (void)
{
  for (int copied = 0; copied < 2; copied++)
    {
      pair_t p = { 0 };
      pair_open (&p, (settings_t){ .log2_ring_size = 4, .ext = { .keep_unread = 1 } });
      OK (send_packet (p.slave.conn, 0, 1, 64));
      OK (send_packet (p.slave.conn, 0, 2, 64));
      shared_desc_t *last = &((conn_t *) p.slave.conn)->tx[0]->ring->desc[1];
      desc_t d = desc_read (last);
      d.flags |= DESC_NEXT;
      desc_write (last, d);
      side_close (&p.slave);
      while (!p.master.downs)
	OK (memif_poll_event (p.master.sock, 10));
      unsigned received = 0, tries = 0;
      int err = MEMIF_ERR_SUCCESS;
      for (; err != MEMIF_ERR_DISCONNECTED && tries < 4; tries++)
	{
	  memif_ext_packet_t packets[2];
	  memif_buffer_t buffers[2];
	  uint16_t n = 0;
	  err = copied ? memif_ext_rx_burst (p.master.conn, 0, bytes, sizeof bytes, 64, packets, 2, &n)
		       : memif_rx_burst (p.master.conn, 0, buffers, 2, &n);
	  if (!copied && n)
	    OK (memif_refill_queue (p.master.conn, 0, n, 0));
	  received += n;
	}
      EQUAL (err, MEMIF_ERR_DISCONNECTED);
      EQUAL (received, 1);
      side_close (&p.master);
    }
}

/* A file that shrinks under its mapping would end the process that looks at it. */
static void
what_a_slave_gives_away_can_t_be_shrunk (void)
{
  pair_t p = { 0 };
  pair_open (&p, (settings_t){ 0 });
  conn_t *c = p.slave.conn;
  /* One that no master has sealed yet. */
  link_t *l = link_new (&c->sock->memory, &c->sock->external, NULL, &c->peer, &c->held_regions);
  const char *why;
  OK (link_create_slave (l, &c->args, 1, 1, 4, &why));
  CHECK (l->num_regions > 1);
  for (unsigned i = 0; i < l->num_regions; i++)
    {
      CHECK (fcntl (l->regions[i].fd, F_GET_SEALS) & F_SEAL_SHRINK);
      CHECK (ftruncate (l->regions[i].fd, 0) < 0);
    }
  link_unref (l);
  pair_close (&p);
}

/* Else they would all be in use, and none in a cache. */
static void
a_sender_uses_few_buffers_where_all_is_read_at_once (void)
{
  enum { SLOTS = 1 << 12 };
  pair_t p = { 0 };
  pair_open (&p, (settings_t){ .log2_ring_size = 12 });
  const queue_t *q = ((conn_t *) p.slave.conn)->tx[0];
  const memif_ext_slice_t slice = { .data = bytes, .len = 256 }; /* a large one */
  unsigned least = q->num_spare;
  for (int i = 0; i < SLOTS; i++)
    {
      uint16_t sent = 0, received = 0;
      memif_ext_packet_t packet;
      OK (memif_ext_tx_burst (p.slave.conn, 0, &slice, 1, &sent));
      least = q->num_spare < least ? q->num_spare : least;
      OK (memif_ext_rx_burst (p.master.conn, 0, bytes + 64, 64, 64, &packet, 1, &received));
      EQUAL (sent, received);
    }
  /* Beside those that rest for observers. */
  CHECK (least >= SLOTS - 64);
  pair_close (&p);
}

/* A folder has a size too. */
static void
a_region_is_a_file (void)
{
  pair_t p = { 0 };
  pair_open (&p, (settings_t){ 0 });
  int folder = open ("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  CHECK (folder >= 0);
  const char *why;
  FAILS (link_add_region (((conn_t *) p.master.conn)->link, 1, folder, true, &why), MEMIF_ERR_MFMSG);
  close (folder);
  pair_close (&p);
}

/* Offsets have 32 bits, and so a ring at the end of them does not reach the beginning again. */
static void
a_ring_lies_in_its_region (void)
{
  pair_t p = { 0 };
  pair_open (&p, (settings_t){ .log2_ring_size = 4 });
  link_t *l = ((conn_t *) p.master.conn)->link;
  const uint32_t last = (uint32_t) (l->regions[0].size - ring_bytes (1));
  const uint32_t offsets[] = { last + 8, (uint32_t) l->regions[0].size, UINT32_MAX - 159, UINT32_MAX - 127, UINT32_MAX - 7 };
  add_ring_t ring = { .flags = ADD_RING_S2M, .index = 1, .log2_ring_size = 1 };
  const char *why;
  int efd = eventfd (0, EFD_NONBLOCK);
  CHECK (efd >= 0);
  for (unsigned i = 0; i < sizeof offsets / sizeof *offsets; i++)
    {
      ring.offset = offsets[i];
      FAILS (link_add_ring (l, &ring, efd, 2, &why), MEMIF_ERR_MFMSG);
    }
  ring.offset = last;
  OK (link_add_ring (l, &ring, efd, 2, &why));
  pair_close (&p);
}

/* The same of whoever looks on. */
static void
what_is_watched_lies_in_its_memory (void)
{
  pair_t p = { 0 };
  pair_open (&p, (settings_t){ .log2_ring_size = 4 });
  const link_t *l = ((conn_t *) p.slave.conn)->link;
  const int fds[] = { l->regions[0].fd, l->regions[1].fd };
  const uint32_t last = (uint32_t) (l->regions[0].size - ring_bytes (1));
  const uint32_t offsets[] = { last + 8, UINT32_MAX - 159, UINT32_MAX - 127, UINT32_MAX - 7 };
  memif_ext_view_handle_t view;
  memif_ext_watch_handle_t watch;
  memif_ext_view_state_t state;
  memif_ext_view_ring_t ring = { .log2_size = 1 };
  const char *why;
  OK (memif_ext_view_open (&view, fds, 2, 0, &why));
  for (unsigned i = 0; i < sizeof offsets / sizeof *offsets; i++)
    {
      ring.offset = offsets[i];
      FAILS (memif_ext_view_state (view, ring, 0, 0, &state), MEMIF_ERR_INVAL_ARG);
    }
  ring.offset = last;
  OK (memif_ext_view_state (view, ring, 0, 0, &state));

  ring = (memif_ext_view_ring_t){ .offset = 0, .log2_size = 4 };
  OK (memif_ext_watch_open (&watch, view, ring, 0));
  OK (send_packet (p.slave.conn, 0, 1, 64));
  desc_write (&((conn_t *) p.slave.conn)->tx[0]->ring->desc[0],
	      (desc_t){ .region = 1, .offset = UINT32_MAX - 32, .length = 64 });
  memif_ext_packet_t packet;
  uint16_t n, behind;
  FAILS (memif_ext_watch_look (watch, bytes, sizeof bytes, 64, &packet, 1, &n, &behind), MEMIF_ERR_MFMSG);
  EQUAL (n, 0);
  memif_ext_watch_close (watch);
  memif_ext_view_close (view);
  pair_close (&p);
}

/* For whoever looks on: the length of a packet that lay where the slave had offered. */
static void
a_slot_that_was_moved_gets_no_length (void)
{
  static uint8_t longest[UINT16_MAX];
  pair_t p = { 0 };
  pair_open (&p, (settings_t){ .log2_ring_size = 4, .buffer_size = UINT16_MAX });
  shared_desc_t *desc = ((conn_t *) p.slave.conn)->rx[0]->ring->desc;
  memif_ext_packet_t packet;
  uint16_t n;
  for (uint32_t slot = 0; slot < 2; slot++)
    {
      OK (send_packet (p.master.conn, 0, slot, 64));
      desc_t d = desc_read (&desc[slot]);
      d.offset += slot;
      desc_write (&desc[slot], d);
      OK (memif_ext_rx_burst (p.slave.conn, 0, bytes, sizeof bytes, 64, &packet, 1, &n));
      EQUAL (n, 1);
      EQUAL (desc_read (&desc[slot]).metadata & (0xFFFF | (uint32_t) MARK_NEXT), slot ? 0 : 64);
    }
  OK (send_packet (p.master.conn, 0, 2, sizeof longest));
  EQUAL (receive_packet (p.slave.conn, 0, longest, sizeof longest), sizeof longest);
  EQUAL (desc_read (&desc[2]).metadata & 0xFFFF, sizeof longest);
  pair_close (&p);
}

/* What waits to be closed is counted for the process that has brought it. */
static void
both_sides_know_whose_channel_it_is (void)
{
  pair_t p = { 0 };
  pair_open (&p, (settings_t){ 0 });
  const side_t *sides[] = { &p.master, &p.slave };
  for (int i = 0; i < 2; i++)
    {
      const conn_t *c = sides[i]->conn;
      EQUAL (c->channel->peer.pid, getpid ());
      EQUAL (c->channel->peer.uid, getuid ());
      EQUAL (c->link->peer.pid, getpid ());
    }
  pair_close (&p);
}

/* Those of a burst follow each other; what single ones touch is not fetched with their neighbours. */
static void
small_packets_lie_side_by_side_in_bursts_only (void)
{
  enum { BURST = 8, LENGTHS = 2 };
  pair_t p = { 0 };
  pair_open (&p, (settings_t){ .log2_ring_size = 6 });
  const queue_t *q = ((conn_t *) p.slave.conn)->tx[0];
  const uint32_t lengths[LENGTHS] = { 60, 100 }, apart[LENGTHS] = { 64, 128 };
  for (unsigned i = 0; i < LENGTHS; i++)
    for (unsigned burst = 1; burst <= BURST; burst += BURST - 1)
      {
	memif_ext_slice_t slices[BURST];
	memif_ext_packet_t packets[BURST];
	uint32_t at[BURST];
	uint16_t sent = 0, received = 0;
	for (unsigned n = 0; n < BURST; n++)
	  slices[n] = (memif_ext_slice_t){ .data = bytes, .len = lengths[i] };
	for (unsigned n = 0; n < BURST; n += burst)
	  OK (memif_ext_tx_burst (p.slave.conn, 0, slices, (uint16_t) burst, &sent));
	for (unsigned n = 0; n < BURST; n++)
	  at[n] = desc_read (&q->ring->desc[(q->next - BURST + n) & q->mask]).offset;
	for (unsigned n = 1; n < BURST; n++)
	  if (burst > 1)
	    EQUAL (at[n], at[n - 1] + apart[i]);
	  else
	    CHECK (at[n] > at[n - 1] + 512 || at[n] + 512 < at[n - 1]);
	OK (memif_ext_rx_burst (p.master.conn, 0, bytes, sizeof bytes, 128, packets, BURST, &received));
	EQUAL (received, BURST);
      }
  pair_close (&p);
}

/* What was promised to observers is taken back for good, and says that it was ours to give: who comes
 * later must not suppose more by what it sees. */
static void
a_promise_is_taken_back_as_far_as_needed (void)
{
  enum { SLOTS = 1024, SOME = 300, MOST = 900 };
  static memif_buffer_t bufs[MOST];
  pair_t p = { 0 };
  pair_open (&p, (settings_t){ .log2_ring_size = 10 });
  const queue_t *q = ((conn_t *) p.slave.conn)->tx[0];
  uint16_t n = 0;
  EQUAL (q->ring->linger, SLOTS - AT_ONCE);
  OK (memif_buffer_alloc (p.slave.conn, 0, bufs, SOME, &n, 64));
  EQUAL (n, SOME);
  EQUAL (q->ring->linger, LINGER_LARGE);
  OK (memif_set_next_free_buffer (p.slave.conn, 0, &bufs[0]));
  OK (memif_buffer_alloc (p.slave.conn, 0, bufs, MOST, &n, 64));
  EQUAL (n, MOST);
  EQUAL (q->ring->linger, NONE_LINGER);
  OK (memif_set_next_free_buffer (p.slave.conn, 0, &bufs[0]));
  const memif_ext_slice_t slice = { .data = bytes, .len = 64 };
  OK (memif_ext_tx_burst (p.slave.conn, 0, &slice, 1, &n));
  EQUAL (q->ring->linger, NONE_LINGER);
  pair_close (&p);
}

static void
memory_for_packets_holds_one_at_least (void)
{
  pair_t p = { 0 };
  pair_open (&p, (settings_t){ 0 });
  memif_ext_packet_t packet;
  uint16_t received;
  FAILS (memif_ext_rx_burst (p.master.conn, 0, bytes, 63, 64, &packet, 1, &received), MEMIF_ERR_INVAL_ARG);
  FAILS (memif_ext_rx_burst (p.master.conn, 0, bytes, 64, 0, &packet, 1, &received), MEMIF_ERR_INVAL_ARG);
  OK (memif_ext_rx_burst (p.master.conn, 0, bytes, 64, 64, &packet, 1, &received));
  pair_close (&p);
}

/* There are short ways for a packet that is alone, and others for many: none leaves a check out. */
static void
packets_are_checked_whether_alone_or_not (void)
{
  static const desc_t bad[] = {
    { .region = 77, .length = 64 },
    { .region = 1, .offset = UINT32_MAX - 32, .length = 64 },
    { .region = 1, .length = UINT32_MAX },
  };
  enum { BAD = sizeof bad / sizeof *bad };
  for (unsigned i = 0; i < 16 * BAD; i++)
    {
      const uint16_t count = i & 4 ? 2 : 1;
      pair_t p = { 0 };
      pair_open (&p, (settings_t){ .log2_ring_size = 4 });
      memif_conn_handle_t from = i & 8 ? p.master.conn : p.slave.conn;
      memif_conn_handle_t to = i & 8 ? p.slave.conn : p.master.conn;
      if (i & 1)
	OK (memif_set_rx_mode (to, MEMIF_RX_MODE_POLLING, 0));
      uint16_t n = 0;
      memif_buffer_t buffers[2];
      memif_ext_packet_t packets[2];
      /* After a good one there is nothing else to see to. */
      OK (send_packet (from, 0, i, 64));
      OK (memif_ext_rx_burst (to, 0, bytes, sizeof bytes, sizeof bytes, packets, 1, &n));
      EQUAL (n, 1);
      for (uint16_t packet = 0; packet < count; packet++)
	OK (send_packet (from, 0, i, 64));
      desc_write (&((conn_t *) to)->rx[0]->ring->desc[1], bad[i % BAD]);
      if (i & 2)
	FAILS (memif_rx_burst (to, 0, buffers, count, &n), MEMIF_ERR_MFMSG);
      else
	FAILS (memif_ext_rx_burst (to, 0, bytes, sizeof bytes, sizeof bytes, packets, count, &n), MEMIF_ERR_MFMSG);
      EQUAL (n, 0);
      pair_close (&p);
    }
}

static void
offers_are_checked_whether_for_one_packet_or_more (void)
{
  static const desc_t bad[] = {
    { .region = 77, .length = 2048 },
    { .region = 0, .offset = UINT32_MAX - 32, .length = 2048 },
    { .region = 0, .length = 0 },
    { .region = 0, .length = UINT32_MAX },
  };
  enum { BAD = sizeof bad / sizeof *bad };
  const memif_ext_slice_t packets[2] = { { bytes, 64 }, { bytes, 64 } };
  for (unsigned i = 0; i < 2 * BAD; i++)
    {
      pair_t p = { 0 };
      pair_open (&p, (settings_t){ .log2_ring_size = 4 });
      uint16_t n = 0;
      OK (memif_ext_tx_burst (p.master.conn, 0, packets, 1, &n));
      ring_t *ring = ((conn_t *) p.master.conn)->tx[0]->ring;
      desc_write (&ring->desc[1], bad[i % BAD]);
      FAILS (memif_ext_tx_burst (p.master.conn, 0, packets, i < BAD ? 1 : 2, &n), MEMIF_ERR_MFMSG);
      EQUAL (n, 0);
      EQUAL (atomic_load (&ring->tail), 1);
      pair_close (&p);
    }
}

static void
what_came_before_a_bad_one_is_delivered (void)
{
  for (unsigned i = 0; i < 8; i++)
    {
      const uint16_t slots = i & 4 ? 2 : 1; /* of the good one */
      pair_t p = { 0 };
      pair_open (&p, (settings_t){ .log2_ring_size = 4, .buffer_size = 64 });
      memif_conn_handle_t from = i & 1 ? p.master.conn : p.slave.conn;
      memif_conn_handle_t to = i & 1 ? p.slave.conn : p.master.conn;
      OK (send_packet (from, 0, 1, (uint16_t) (slots * 50)));
      OK (send_packet (from, 0, 2, 50));
      desc_write (&((conn_t *) to)->rx[0]->ring->desc[slots], (desc_t){ .region = 77, .length = 64 });
      uint16_t n = 0;
      memif_buffer_t buffers[4];
      memif_ext_packet_t packets[4];
      if (i & 2)
	{
	  FAILS (memif_rx_burst (to, 0, buffers, 4, &n), MEMIF_ERR_NOBUF);
	  EQUAL (n, slots);
	  FAILS (memif_rx_burst (to, 0, buffers, 4, &n), MEMIF_ERR_MFMSG);
	}
      else
	{
	  OK (memif_ext_rx_burst (to, 0, bytes, sizeof bytes, 2048, packets, 4, &n));
	  EQUAL (n, 1);
	  FAILS (memif_ext_rx_burst (to, 0, bytes, sizeof bytes, 2048, packets, 4, &n), MEMIF_ERR_MFMSG);
	}
      EQUAL (n, 0);
      pair_close (&p);
    }
}

static int
read_all (memif_conn_handle_t conn, void *ctx, uint16_t qid)
{
  side_t *side = ctx;
  memif_ext_packet_t packet;
  uint16_t received;
  do
    {
      OK (memif_ext_rx_burst (conn, qid, bytes, sizeof bytes, sizeof bytes, &packet, 1, &received));
      side->interrupts[qid] += received;
    }
  while (received);
  return 0;
}

/* A sender without a fence may take a receiver that has just gone to sleep for one that is awake. */
static void
a_program_with_on_interrupt_gets_what_nobody_told_of (void)
{
  pair_t p = { 0 };
  pair_open (&p, (settings_t){ .log2_ring_size = 4, .on_interrupt = read_all });
  ring_t *ring = ((conn_t *) p.slave.conn)->tx[0]->ring;
  for (unsigned packet = 1; packet <= 3; packet++)
    {
      const uint16_t asleep = atomic_load (&ring->flags);
      EQUAL (asleep & RING_NO_INTERRUPT, 0);
      atomic_store (&ring->flags, asleep | RING_NO_INTERRUPT);
      OK (send_packet (p.slave.conn, 0, packet, 64));
      atomic_store (&ring->flags, asleep);
      const uint64_t start = now_ms ();
      while (p.master.interrupts[0] < packet)
	{
	  CHECK (now_ms () - start < LONG_MS);
	  OK (memif_poll_event (p.master.sock, 10));
	}
    }
  pair_close (&p);
}

/* The same for a program that waits on the queue's descriptor, and asks for it while the queue sleeps. */
static void
a_descriptor_asked_for_late_tells_of_what_nobody_told_of (void)
{
  pair_t p = { 0 };
  pair_open (&p, (settings_t){ .log2_ring_size = 4 });
  ring_t *ring = ((conn_t *) p.slave.conn)->tx[0]->ring;
  const uint16_t asleep = atomic_load (&ring->flags);
  EQUAL (asleep & RING_NO_INTERRUPT, 0);
  struct pollfd efd = { .events = POLLIN };
  OK (memif_get_queue_efd (p.master.conn, 0, &efd.fd));
  atomic_store (&ring->flags, asleep | RING_NO_INTERRUPT);
  OK (send_packet (p.slave.conn, 0, 1, 64));
  atomic_store (&ring->flags, asleep);
  const uint64_t start = now_ms ();
  while (poll (&efd, 1, 0) == 0)
    {
      CHECK (now_ms () - start < LONG_MS);
      OK (memif_poll_event (p.master.sock, 10));
    }
  pair_close (&p);
}

int
main (int argc, char **argv)
{
  static const test_t tests[] = {
    { "a_senders_counter_does_not_go_back", a_senders_counter_does_not_go_back },
    { "a_masters_slots_are_those_of_the_ring", a_masters_slots_are_those_of_the_ring },
    { "unsealed_memory_of_a_waiting_link_is_left", unsealed_memory_of_a_waiting_link_is_left },
    { "unsealed_memory_of_an_ended_link_is_left", unsealed_memory_of_an_ended_link_is_left },
    { "a_chain_without_an_end_goes_with_its_link", a_chain_without_an_end_goes_with_its_link },
    { "what_a_slave_gives_away_can_t_be_shrunk", what_a_slave_gives_away_can_t_be_shrunk },
    { "a_sender_uses_few_buffers_where_all_is_read_at_once", a_sender_uses_few_buffers_where_all_is_read_at_once },
    { "a_ring_lies_in_its_region", a_ring_lies_in_its_region },
    { "a_region_is_a_file", a_region_is_a_file },
    { "what_is_watched_lies_in_its_memory", what_is_watched_lies_in_its_memory },
    { "a_slot_that_was_moved_gets_no_length", a_slot_that_was_moved_gets_no_length },
    { "both_sides_know_whose_channel_it_is", both_sides_know_whose_channel_it_is },
    { "small_packets_lie_side_by_side_in_bursts_only", small_packets_lie_side_by_side_in_bursts_only },
    { "a_promise_is_taken_back_as_far_as_needed", a_promise_is_taken_back_as_far_as_needed },
    { "memory_for_packets_holds_one_at_least", memory_for_packets_holds_one_at_least },
    { "packets_are_checked_whether_alone_or_not", packets_are_checked_whether_alone_or_not },
    { "offers_are_checked_whether_for_one_packet_or_more", offers_are_checked_whether_for_one_packet_or_more },
    { "what_came_before_a_bad_one_is_delivered", what_came_before_a_bad_one_is_delivered },
    { "a_descriptor_asked_for_late_tells_of_what_nobody_told_of", a_descriptor_asked_for_late_tells_of_what_nobody_told_of },
    { "a_program_with_on_interrupt_gets_what_nobody_told_of", a_program_with_on_interrupt_gets_what_nobody_told_of },
  };
  return RUN (argc, argv, tests);
}
