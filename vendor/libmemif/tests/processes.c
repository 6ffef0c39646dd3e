/* Two libraries in two processes: this program runs itself again as the peer. */
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support.h"

static uint8_t bytes[65536];

static pid_t
start (const char *what, const char *path)
{
  fflush (NULL);
  pid_t pid = fork ();
  CHECK (pid >= 0);
  if (pid == 0)
    exec_self ("--peer", (char *) what, (char *) path);
  return pid;
}

static int
wait_for (pid_t pid)
{
  int status;
  CHECK (waitpid (pid, &status, 0) == pid);
  return status;
}

static void
until_up (side_t *side)
{
  uint64_t end = now_ms () + LONG_MS;
  while (side->ups == side->downs)
    {
      CHECK (now_ms () < end);
      OK (memif_poll_event (side->sock, 10));
    }
}

static void
until_down (side_t *side)
{
  uint64_t end = now_ms () + LONG_MS;
  while (side->ups != side->downs)
    {
      CHECK (now_ms () < end);
      OK (memif_poll_event (side->sock, 10));
    }
}

static long
receive_soon (side_t *side, uint16_t qid)
{
  uint64_t end = now_ms () + LONG_MS;
  long length;
  while ((length = receive_packet (side->conn, qid, bytes, sizeof bytes)) < 0)
    {
      CHECK (now_ms () < end);
      OK (memif_poll_event (side->sock, 1));
    }
  return length;
}

static void
send_soon (side_t *side, uint16_t qid, uint32_t number, uint16_t length)
{
  uint64_t end = now_ms () + LONG_MS;
  int err;
  while ((err = send_packet (side->conn, qid, number, length)) == MEMIF_ERR_NOBUF_RING)
    {
      CHECK (now_ms () < end);
      OK (memif_poll_event (side->sock, 1));
    }
  OK (err);
}

enum { PACKETS = 5000, LAST_WORDS = 100 };

static uint16_t
length_of (uint32_t i)
{
  return (uint16_t) (1 + i * 97 % 6000);
}

static const settings_t settings = { .log2_ring_size = 7, .buffer_size = 512, .s2m = 2, .m2s = 2 };

/* Sends back what comes; a slave without a copy. Ends with the link. */
static void
echo (const char *path, bool master)
{
  side_t me = { 0 };
  side_open (&me, path, master, settings);
  until_up (&me);
  while (me.ups > me.downs)
    {
      memif_buffer_t b[64];
      uint16_t n = 0, moved = 0;
      OK (memif_poll_event (me.sock, 0));
      if (master)
	{
	  long length = receive_packet (me.conn, 1, bytes, sizeof bytes);
	  if (length >= 0)
	    send_soon (&me, 1, *(uint16_t *) bytes, (uint16_t) length);
	  continue;
	}
      int err = memif_rx_burst (me.conn, 1, b, 64, &n);
      if (err == MEMIF_ERR_DISCONNECTED)
	continue;
      CHECK (err == MEMIF_ERR_SUCCESS || err == MEMIF_ERR_NOBUF);
      if (n == 0)
	continue;
      /* A chain that this burst has cut goes with the next one. */
      while (b[n - 1].flags & MEMIF_BUFFER_FLAG_NEXT)
	{
	  uint16_t more = 0;
	  err = memif_rx_burst (me.conn, 1, &b[n], 1, &more);
	  CHECK (more == 1 && n < 64);
	  n++;
	}
      OK (memif_buffer_enq_tx (me.conn, 1, b, n, &moved));
      OK (memif_refill_queue (me.conn, 1, n, 0));
      OK (memif_tx_burst (me.conn, 1, b, n, &moved));
    }
  side_close (&me);
}

/* Sends, and is gone without a word. */
static void
last_words (const char *path, bool master)
{
  side_t me = { 0 };
  side_open (&me, path, master, settings);
  until_up (&me);
  if (master)
    OK (memif_poll_event (me.sock, 10));
  for (uint32_t i = 0; i < LAST_WORDS; i++)
    send_soon (&me, 1, i, 40);
  kill (getpid (), SIGKILL);
}

static int
peer (const char *what, const char *path)
{
  bool master = strncmp (what, "master", 6) == 0;
  if (strstr (what, "echo"))
    echo (path, master);
  else
    last_words (path, master);
  return 0;
}

/* The number is in the packet's first bytes only by luck, so what comes back is compared whole. */
static void
echoed_by_a_slave (void)
{
  const char *path = fresh_path ();
  side_t me = { 0 };
  pid_t pid = start ("slave-echo", path);
  side_open (&me, path, true, settings);
  until_up (&me);
  uint32_t sent = 0;
  for (uint32_t got = 0; got < PACKETS; got++)
    {
      for (; sent < PACKETS && sent - got < 4; sent++)
	send_soon (&me, 1, sent, length_of (sent));
      EQUAL (receive_soon (&me, 1), length_of (got));
      CHECK (is_pattern (bytes, got, length_of (got)));
    }
  side_close (&me);
  EQUAL (wait_for (pid), 0);
}

static void
echoed_by_a_master (void)
{
  const char *path = fresh_path ();
  side_t me = { 0 };
  pid_t pid = start ("master-echo", path);
  side_open (&me, path, false, settings);
  until_up (&me);
  /* The master answers with the pattern of the number that the packet began with. */
  uint8_t first[2];
  for (uint32_t i = 0; i < PACKETS; i++)
    {
      uint16_t length = (uint16_t) (2 + i % 4000), number;
      pattern (first, i, 2);
      memcpy (&number, first, 2);
      send_soon (&me, 1, i, length);
      EQUAL (receive_soon (&me, 1), length);
      CHECK (is_pattern (bytes, number, length));
    }
  side_close (&me);
  EQUAL (wait_for (pid), 0);
}

/* What a killed peer had sent is read, and then the next peer has its turn. */
static void
a_killed_peer_s_packets_are_read (void)
{
  unsigned fds = open_fds ();
  for (int master = 0; master < 2; master++)
    {
      const char *path = fresh_path ();
      side_t me = { 0 };
      side_open (&me, path, !master, settings);
      for (int round = 0; round < 5; round++)
	{
	  me.ups = me.downs = 0;
	  pid_t pid = start (master ? "master-last" : "slave-last", path);
	  until_up (&me);
	  EQUAL (WTERMSIG (wait_for (pid)), SIGKILL);
	  until_down (&me);
	  for (uint32_t i = 0; i < LAST_WORDS; i++)
	    {
	      EQUAL (receive_packet (me.conn, 1, bytes, sizeof bytes), 40);
	      CHECK (is_pattern (bytes, i, 40));
	    }
	}
      side_close (&me);
    }
  FDS_BACK (fds);
}

int
main (int argc, char **argv)
{
  if (argc == 4 && strcmp (argv[1], "--peer") == 0)
    return peer (argv[2], argv[3]);
  static const test_t tests[] = {
    { "echoed_by_a_slave", echoed_by_a_slave },
    { "echoed_by_a_master", echoed_by_a_master },
    { "a_killed_peer_s_packets_are_read", a_killed_peer_s_packets_are_read },
  };
  return RUN (argc, argv, tests);
}
