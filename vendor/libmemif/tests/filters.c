/* Filters that take system calls away, as seccomp profiles of containers do: the promise stays the
 * same, or it is said which call is needed. */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support.h"

static bool
forbid (int call, int error)
{
  struct sock_filter filter[] = {
    BPF_STMT (BPF_LD | BPF_W | BPF_ABS, offsetof (struct seccomp_data, nr)),
    BPF_JUMP (BPF_JMP | BPF_JEQ | BPF_K, (uint32_t) call, 0, 1),
    BPF_STMT (BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (uint32_t) error),
    BPF_STMT (BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog program = { sizeof filter / sizeof *filter, filter };
  return prctl (PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
	 && prctl (PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

/* Runs a test in a process of its own without this call: the first thing there that makes a
 * socket. */
static void
without (int call, int error, const char *test)
{
  int status;
  char number[16], value[16];
  snprintf (number, sizeof number, "%d", call);
  snprintf (value, sizeof value, "%d", error);
  fflush (NULL);
  pid_t pid = fork ();
  CHECK (pid >= 0);
  if (pid == 0)
    {
      setenv ("FORBID", number, 1);
      setenv ("FORBID_ERROR", value, 1);
      exec_self ((char *) test, NULL, NULL);
    }
  CHECK (waitpid (pid, &status, 0) == pid && WIFEXITED (status));
  EQUAL (WEXITSTATUS (status), 0);
}

/* In that process */

static void
refused (const char *call)
{
  memif_socket_args_t args = { .app_name = "c test" };
  memif_socket_handle_t sock = NULL;
  snprintf (args.path, sizeof args.path, "%s", fresh_path ());
  FAILS (memif_create_socket (&sock, &args, NULL), MEMIF_ERR_SYSCALL);
  CHECK (!sock && strstr (memif_ext_socket_error (NULL), call));
}

static void
io_setup_is_named (void)
{
  refused ("io_setup");
}

static void
io_submit_is_named (void)
{
  refused ("io_submit");
}

/* What a program of libmemif polls has to be cleared, which needs it. What this library offers
 * beside it does not. */
static void
preadv2_is_named (void)
{
  pair_t p = { 0 };
  static uint8_t bytes[2048];
  memif_ext_packet_t packet;
  uint16_t n = 0;
  int fd, result;
  pair_open (&p, (settings_t){ .log2_ring_size = 4, .ext = { .keep_unread = 1 } });
  FAILS (memif_get_queue_efd (p.master.conn, 0, &fd), MEMIF_ERR_SYSCALL);
  CHECK (strstr (memif_ext_socket_error (p.master.sock), "preadv2"));
  memif_conn_handle_t conn = NULL;
  memif_conn_args_t args = { .socket = p.master.sock, .is_master = 1, .interface_id = 7 };
  FAILS (memif_create (&conn, &args, NULL, NULL, (memif_on_interrupt_t *) abort, NULL), MEMIF_ERR_SYSCALL);
  CHECK (!conn && strstr (memif_ext_socket_error (p.master.sock), "preadv2"));

  OK (memif_ext_rx_fd (p.master.conn, 0, &fd));
  for (uint32_t i = 0; i < 1000; i++)
    {
      OK (send_packet (p.slave.conn, 0, i, 100));
      struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
      EQUAL (poll (&poll_fd, 1, LONG_MS), 1);
      do
	OK (memif_ext_rx_burst (p.master.conn, 0, bytes, sizeof bytes, sizeof bytes, &packet, 1, &n));
      while (n == 0);
      CHECK (is_pattern (bytes, i, 100));
      OK (memif_ext_rx_burst (p.master.conn, 0, bytes, sizeof bytes, sizeof bytes, &packet, 1, &n));
      EQUAL (n, 0);
      OK (memif_ext_rx_wait (p.master.conn, 0, 0, 0, 0, &result));
      EQUAL (result, MEMIF_EXT_WAIT_TIMED_OUT);
      EQUAL (poll (&poll_fd, 1, 0), 0); /* what was read of is no longer told of */
    }
  pair_close (&p);
}

static void
what_is_forbidden_is_named_or_not_needed (void)
{
  for (int i = 0; i < 2; i++)
    {
      int error = i ? EPERM : ENOSYS;
      without (SYS_io_setup, error, "io_setup_is_named");
      without (SYS_io_submit, error, "io_submit_is_named");
      without (SYS_preadv2, error, "preadv2_is_named");
    }
}

int
main (int argc, char **argv)
{
  static const test_t all[] = {
    { "what_is_forbidden_is_named_or_not_needed", what_is_forbidden_is_named_or_not_needed },
  };
  static const test_t filtered[] = {
    { "io_setup_is_named", io_setup_is_named },
    { "io_submit_is_named", io_submit_is_named },
    { "preadv2_is_named", preadv2_is_named },
  };
  const char *call = getenv ("FORBID"), *error = getenv ("FORBID_ERROR");
#ifdef MEMIF_EMULATED
  printf ("  seccomp filters are not to be had here\n");
  return 0;
#endif
  if (!call || !error)
    return RUN (argc, argv, all);
  CHECK (forbid (atoi (call), atoi (error)));
  for (size_t i = 0; i < sizeof filtered / sizeof *filtered; i++)
    if (argc == 2 && strcmp (argv[1], filtered[i].name) == 0)
      filtered[i].run ();
  return 0;
}
