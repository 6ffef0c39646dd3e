/* What the tests share: checks, pairs of interfaces, packets whose bytes tell what they are. */
#ifndef SUPPORT_H
#define SUPPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <libmemif_ext.h>

/* Longer than anything here takes on the slowest machine: who waits as long has hung. */
enum { LONG_MS = 60000 };

#define CHECK(condition) \
  do \
    { \
      if (!(condition)) \
	failed (__FILE__, __LINE__, #condition); \
    } \
  while (0)

/* A value, and a call's error number, with both sides in the message. */
#define EQUAL(got, wanted) check_equal (__FILE__, __LINE__, #got, (long long) (got), (long long) (wanted))
#define OK(call) check_err (__FILE__, __LINE__, #call, (call), MEMIF_ERR_SUCCESS)
#define FAILS(call, err) check_err (__FILE__, __LINE__, #call, (call), (err))

/* A test of a program's table; main runs all, or those that are named. */
typedef struct
{
  const char *name;
  void (*run) (void);
} test_t;

int run_tests (int argc, char **argv, const test_t *tests, size_t count);
#define RUN(argc, argv, tests) run_tests (argc, argv, tests, sizeof tests / sizeof *tests)

void failed (const char *file, int line, const char *what) __attribute__ ((noreturn));
void check_equal (const char *file, int line, const char *what, long long got, long long wanted);
void check_err (const char *file, int line, const char *what, int got, int wanted);

/* Runs this program again, in place of the process, with up to three arguments. */
void exec_self (char *first, char *second, char *third) __attribute__ ((noreturn));
uint64_t now_ms (void);
/* An abstract socket that no other test has. */
const char *fresh_path (void);
unsigned open_fds (void);
/* Resident memory in KiB. */
long resident_kib (void);
/* Mappings of regions. */
unsigned mapped_regions (void);
/* What a link had is closed and unmapped a moment after it ends, by another thread: waits until
 * there are as few as before. */
#define FDS_BACK(before) back (__FILE__, __LINE__, open_fds, before)
#define REGIONS_BACK(before) back (__FILE__, __LINE__, mapped_regions, before)
void back (const char *file, int line, unsigned (*count) (void), unsigned before);
/* Blocks of the sockets of socket_new that are not freed. */
long live_blocks (void);

/* One side of a link. */
typedef struct
{
  memif_socket_handle_t sock;
  memif_conn_handle_t conn;
  memif_conn_args_t args;
  int ups, downs; /* callbacks so far */
  uint16_t offer; /* refilled when the link comes up; 0: left to the library */
  uint16_t headroom;
  unsigned interrupts[16];
} side_t;

typedef struct
{
  side_t master, slave;
} pair_t;

/* The settings of both sides; zeros are defaults. */
typedef struct
{
  uint8_t log2_ring_size, s2m, m2s;
  uint16_t buffer_size;
  memif_on_interrupt_t *on_interrupt;
  memif_ext_conn_args_t ext;
  /* Called on each socket before its interface is made; may be NULL. */
  void (*prepare) (memif_socket_handle_t sock, bool master);
} settings_t;

memif_socket_handle_t socket_new (const char *path, int retry_ms);
void side_open (side_t *side, const char *path, bool master, settings_t settings);
void side_close (side_t *side);
void pair_open (pair_t *pair, settings_t settings);
void pair_close (pair_t *pair);
/* Handles what is there on both, and waits a little. */
void pair_turn (pair_t *pair);
/* Until the link is up (again) on both sides, down on both. */
void pair_up (pair_t *pair);
void pair_down (pair_t *pair);

/* A packet of this length whose bytes follow from its number. */
void pattern (uint8_t *to, uint32_t number, size_t length);
bool is_pattern (const uint8_t *bytes, uint32_t number, size_t length);

/* One packet by the 4.0 calls, as a chain where it needs one; the error of the failing call. */
int send_packet (memif_conn_handle_t conn, uint16_t qid, uint32_t number, uint16_t length);
/* The next packet: its length, or -1 when none is there. The buffers are given back. */
long receive_packet (memif_conn_handle_t conn, uint16_t qid, uint8_t *to, size_t room);
/* Sends, receives and compares one packet. */
void cross (side_t *from, side_t *to, uint16_t qid, uint32_t number, uint16_t length);

#endif
