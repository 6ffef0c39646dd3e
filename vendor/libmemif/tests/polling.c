/* The control loop: who polls, what wakes it, what callbacks may do in it. */
#define _GNU_SOURCE
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "support.h"

static int
note_up (memif_conn_handle_t conn, void *ctx)
{
  (void) conn;
  ++*(int *) ctx;
  return 0;
}

static int
note_down (memif_conn_handle_t conn, void *ctx)
{
  (void) conn;
  --*(int *) ctx;
  return 0;
}

/* A loop of the program's own, for both sides at once. */

typedef struct
{
  int epfd, watched;
} loop_t;

static int
watch (memif_fd_event_t fde, void *ctx)
{
  loop_t *l = ctx;
  struct epoll_event ee = { .events = EPOLLIN, .data.ptr = fde.private_ctx };
  bool gone = fde.type & MEMIF_FD_EVENT_DEL;
  CHECK (gone || fde.type == MEMIF_FD_EVENT_READ);
  l->watched += gone ? -1 : 1;
  CHECK (epoll_ctl (l->epfd, gone ? EPOLL_CTL_DEL : EPOLL_CTL_ADD, fde.fd, &ee) == 0);
  return 0;
}

static void
turn (loop_t *l)
{
  struct epoll_event ready[8];
  int n = epoll_wait (l->epfd, ready, 8, 100);
  for (int i = 0; i < n; i++)
    OK (memif_control_fd_handler (ready[i].data.ptr, MEMIF_FD_EVENT_READ));
}

static int
on_packets (memif_conn_handle_t conn, void *ctx, uint16_t qid)
{
  (void) ctx;
  uint8_t bytes[64];
  EQUAL (receive_packet (conn, qid, bytes, sizeof bytes), 40);
  EQUAL (receive_packet (conn, qid, bytes, sizeof bytes), -1);
  *(int *) ctx += 100;
  return 0;
}

static memif_socket_handle_t
own_loop_socket (loop_t *l, const char *path)
{
  memif_socket_args_t sa = { .on_control_fd_update = watch };
  memif_socket_handle_t sock;
  snprintf (sa.path, sizeof sa.path, "%s", path);
  OK (memif_create_socket (&sock, &sa, l));
  return sock;
}

static void
the_program_polls (void)
{
  loop_t l = { .epfd = epoll_create1 (0) };
  int up[2] = { 0 };
  memif_socket_handle_t socks[2];
  memif_conn_handle_t conns[2] = { NULL };
  const char *path = fresh_path ();
  for (int slave = 0; slave < 2; slave++)
    {
      socks[slave] = own_loop_socket (&l, path);
      FAILS (memif_poll_event (socks[slave], 0), MEMIF_ERR_INVAL_ARG);
      memif_conn_args_t ca = { .socket = socks[slave], .is_master = !slave };
      OK (memif_create (&conns[slave], &ca, note_up, note_down, on_packets, &up[slave]));
    }
  while (!up[0] || !up[1])
    turn (&l);
  for (int i = 0; i < 100; i++)
    {
      OK (send_packet (conns[1], 0, 1, 40));
      OK (send_packet (conns[0], 0, 1, 40));
      while (up[0] != 1 + 100 * (i + 1) || up[1] != 1 + 100 * (i + 1))
	turn (&l);
    }
  for (int i = 0; i < 2; i++)
    {
      OK (memif_delete (&conns[i]));
      OK (memif_delete_socket (&socks[i]));
    }
  EQUAL (l.watched, 0);
  close (l.epfd);
}

static int
refuse_to_watch (memif_fd_event_t fde, void *ctx)
{
  (void) fde;
  (void) ctx;
  return -1;
}

static void
a_callback_that_fails_is_an_error (void)
{
  unsigned fds = open_fds ();
  memif_socket_args_t sa = { .path = "@unused", .on_control_fd_update = refuse_to_watch };
  memif_socket_handle_t sock = NULL;
  FAILS (memif_create_socket (&sock, &sa, NULL), MEMIF_ERR_CB_FDUPDATE);
  FDS_BACK (fds);
}

/* Everything is deleted by a callback, with the program polling and without. */

typedef struct
{
  memif_socket_handle_t sock;
  memif_conn_handle_t conn;
  int up;
} own_t;

static int
delete_all (memif_conn_handle_t conn, void *ctx)
{
  own_t *own = ctx;
  CHECK (conn == own->conn);
  OK (memif_delete (&own->conn));
  OK (memif_delete_socket (&own->sock));
  return 0;
}

static int
note_own (memif_conn_handle_t conn, void *ctx)
{
  (void) conn;
  ((own_t *) ctx)->up++;
  return 0;
}

static int
delete_all_on_interrupt (memif_conn_handle_t conn, void *ctx, uint16_t qid)
{
  EQUAL (qid, 0);
  return delete_all (conn, ctx);
}

static void
a_callback_may_delete_everything (void)
{
  unsigned fds = open_fds ();
  for (int round = 0; round < 40; round++)
    {
      const char *path = fresh_path ();
      side_t master = { 0 };
      own_t own = { 0 };
      loop_t l = { .epfd = epoll_create1 (0) };
      bool polls = round % 2, interrupted = round % 4 < 2;
      side_open (&master, path, true, (settings_t){ 0 });
      own.sock = polls ? own_loop_socket (&l, path) : socket_new (path, 5);
      memif_conn_args_t ca = { .socket = own.sock };
      OK (memif_create (&own.conn, &ca, interrupted ? note_own : delete_all, note_own,
			delete_all_on_interrupt, &own));
      for (bool sent = false; own.sock;)
	{
	  OK (memif_poll_event (master.sock, 1));
	  if (!sent && interrupted && own.up && master.ups)
	    {
	      OK (send_packet (master.conn, 0, 1, 64));
	      sent = true;
	    }
	  if (polls)
	    turn (&l);
	  else
	    OK (memif_poll_event (own.sock, 1));
	}
      CHECK (!own.conn);
      side_close (&master);
      EQUAL (l.watched, 0);
      close (l.epfd);
    }
  FDS_BACK (fds);
}

static void *
cancel (void *sock)
{
  OK (memif_cancel_poll_event (sock));
  return NULL;
}

static void
cancelling_from_another_thread (void)
{
  memif_socket_handle_t sock = socket_new (fresh_path (), 0);
  for (int i = 0; i < 200; i++)
    {
      pthread_t t;
      CHECK (pthread_create (&t, NULL, cancel, sock) == 0);
      FAILS (memif_poll_event (sock, -1), MEMIF_ERR_POLL_CANCEL);
      CHECK (pthread_join (t, NULL) == 0);
    }
  OK (memif_poll_event (sock, 0));
  OK (memif_delete_socket (&sock));
}

/* Signals do not show: they end neither a poll nor a wait. */

static _Atomic unsigned signals;

static void
count_signal (int number)
{
  (void) number;
  signals++;
}

typedef struct
{
  pthread_t whom;
  memif_socket_handle_t sock;
  memif_conn_handle_t conn;
} disturber_t;

static void *
disturb (void *arg)
{
  const disturber_t *d = arg;
  for (unsigned before = signals; signals < before + 50; sched_yield ())
    CHECK (pthread_kill (d->whom, SIGUSR1) == 0);
  OK (d->conn ? memif_ext_rx_wake (d->conn, 0) : memif_cancel_poll_event (d->sock));
  return NULL;
}

static void
signals_do_not_show (void)
{
  struct sigaction count = { .sa_handler = count_signal }, before;
  CHECK (sigaction (SIGUSR1, &count, &before) == 0); /* without SA_RESTART */
  pair_t p = { 0 };
  pair_open (&p, (settings_t){ .ext.keep_unread = 1 });
  /* No timer of a link is to end the poll. */
  disturber_t d = { .whom = pthread_self (), .sock = socket_new (fresh_path (), 0) };
  pthread_t t;
  CHECK (pthread_create (&t, NULL, disturb, &d) == 0);
  FAILS (memif_poll_event (d.sock, -1), MEMIF_ERR_POLL_CANCEL);
  CHECK (pthread_join (t, NULL) == 0);
  OK (memif_delete_socket (&d.sock));

  d.conn = p.master.conn;
  int result = -1;
  CHECK (pthread_create (&t, NULL, disturb, &d) == 0);
  OK (memif_ext_rx_wait (d.conn, 0, UINT64_MAX, 0, 0, &result));
  EQUAL (result, MEMIF_EXT_WAIT_WOKEN);
  CHECK (pthread_join (t, NULL) == 0);
  pair_close (&p);
  CHECK (sigaction (SIGUSR1, &before, NULL) == 0);
}

/* What the library gives a program to watch. */
typedef struct
{
  memif_fd_event_t events[8];
  nfds_t count;
} watched_t;

static int
note_watched (memif_fd_event_t fde, void *ctx)
{
  watched_t *w = ctx;
  if (fde.type == MEMIF_FD_EVENT_READ && w->count < 8)
    w->events[w->count++] = fde;
  return 0;
}

/* A timer that was not read would be readable for ever, and the loop never sleep. */
static void
a_timer_that_has_fired_is_quiet (void)
{
  watched_t w = { 0 };
  memif_socket_args_t sa = { .on_control_fd_update = note_watched };
  sa.connection_request_timer.it_value.tv_nsec = 1000000;
  sa.connection_request_timer.it_interval.tv_sec = 3600;
  snprintf (sa.path, sizeof sa.path, "%s", fresh_path ());
  memif_conn_args_t ca = { 0 };
  memif_conn_handle_t conn = NULL;
  OK (memif_create_socket (&ca.socket, &sa, &w));
  OK (memif_create (&conn, &ca, NULL, NULL, NULL, NULL)); /* nobody listens */
  struct pollfd polled[8];
  for (nfds_t i = 0; i < w.count; i++)
    polled[i] = (struct pollfd){ .fd = w.events[i].fd, .events = POLLIN };
  EQUAL (poll (polled, w.count, LONG_MS), 1);
  for (nfds_t i = 0; i < w.count; i++)
    if (polled[i].revents)
      OK (memif_control_fd_handler (w.events[i].private_ctx, MEMIF_FD_EVENT_READ));
  EQUAL (poll (polled, w.count, 0), 0);
  OK (memif_delete (&conn));
  OK (memif_delete_socket (&ca.socket));
}

/* Where it is not set anew either, as nothing is waited for any more. */
static void
a_timer_that_has_fired_for_the_last_time_is_quiet (void)
{
  loop_t l = { .epfd = epoll_create1 (0) };
  const char *path = fresh_path ();
  memif_conn_args_t ca = { .socket = own_loop_socket (&l, path), .is_master = 1 };
  memif_conn_handle_t conn = NULL;
  OK (memif_ext_configure_socket (ca.socket, &(memif_ext_socket_args_t){ .handshake_ms = 1 }));
  OK (memif_create (&conn, &ca, NULL, NULL, NULL, NULL));

  struct sockaddr_un sun = { .sun_family = AF_UNIX };
  size_t len = strlen (path);
  memcpy (sun.sun_path + 1, path + 1, len - 1);
  int silent = socket (AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  CHECK (connect (silent, (struct sockaddr *) &sun,
		  (socklen_t) (offsetof (struct sockaddr_un, sun_path) + len))
	 == 0);
  char bytes[128];
  ssize_t n;
  do
    {
      turn (&l);
      while ((n = recv (silent, bytes, sizeof bytes, MSG_DONTWAIT)) > 0)
	;
    }
  while (n != 0); /* dropped in the end */
  struct epoll_event ready;
  EQUAL (epoll_wait (l.epfd, &ready, 1, 0), 0);
  close (silent);
  OK (memif_delete (&conn));
  OK (memif_delete_socket (&ca.socket));
  close (l.epfd);
}

int
main (int argc, char **argv)
{
  static const test_t tests[] = {
    { "the_program_polls", the_program_polls },
    { "a_callback_that_fails_is_an_error", a_callback_that_fails_is_an_error },
    { "a_callback_may_delete_everything", a_callback_may_delete_everything },
    { "cancelling_from_another_thread", cancelling_from_another_thread },
    { "signals_do_not_show", signals_do_not_show },
    { "a_timer_that_has_fired_is_quiet", a_timer_that_has_fired_is_quiet },
    { "a_timer_that_has_fired_for_the_last_time_is_quiet", a_timer_that_has_fired_for_the_last_time_is_quiet },
  };
  return RUN (argc, argv, tests);
}
