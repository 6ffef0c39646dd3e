/* A master in a handshake: any message in any state, and the memory and rings that it tells of. */
#define _GNU_SOURCE
#include "any.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "system.h"

/* The system answers anything. */
#define fcntl(...) ANY (int)
#define fstat(fd, st) (Frama_C_make_unknown ((char *) (st), sizeof *(st)), ANY (int))
#define fstatfs(fd, fs) (Frama_C_make_unknown ((char *) (fs), sizeof *(fs)), ANY (int))
#define sendmsg(fd, mh, flags) ANY (ssize_t)
#define recv(fd, to, size, flags) ANY (ssize_t)
#define recvmsg any_message

static ssize_t
any_message (int fd, struct msghdr *mh, int flags)
{
  struct cmsghdr *c = mh->msg_control;
  Frama_C_make_unknown ((char *) mh->msg_iov->iov_base, mh->msg_iov->iov_len);
  Frama_C_make_unknown ((char *) mh->msg_control, mh->msg_controllen);
  /* What the kernel tells of descriptors is true: none, or as many as there is room for. */
  mh->msg_controllen = any_bool () ? 0 : CMSG_SPACE (2 * sizeof (int));
  c->cmsg_len = CMSG_LEN (sizeof (int) * Frama_C_interval (1, 2));
  mh->msg_flags = ANY (int);
  errno = ANY (int);
  return Frama_C_interval (-1, MESSAGE_SIZE + 1);
}

#include "region.c"
#include "message.c"
#include "handshake.c"

enum { MAPPED = RING + 40 };
static uint8_t mapped[MAPPED];
static mapping_t mapping;
static region_t more_regions[REGIONS + 1];
static link_ring_t s2m[3], m2s[3];
static channel_t channel;
static event_t event;
static _Atomic unsigned held;

mapping_t *
mapping_new (int fd, uint64_t size, const char **why)
{
  if (size != MAPPED)
    return NULL;
  mapping = (mapping_t){ .addr = mapped, .size = size };
  return &mapping;
}

void *
grow (const allocator_t *a, void *memory, size_t size)
{
  /* There is room for one more. */
  return any_bool () ? NULL : memory;
}

void *
zalloc (const allocator_t *a, size_t size)
{
  static link_t fresh;
  return any_bool () ? NULL : &fresh;
}

void give_back (const allocator_t *a, void *memory) {}
void mappings_end (mapping_t *list) {}
void foreign_close (int fd, foreign_kind_t kind, const memif_ext_peer_t *from) {}
void foreign_unmap (mapping_t *list) {}
bool foreign_ready (void) { return any_bool (); }
bool foreign_crowded (const memif_ext_peer_t *from, bool process_only) { return any_bool (); }
uint64_t eventfd_clear (int efd) { return ANY (uint64_t); }
bool eventfds_can_be_cleared (void) { return any_bool (); }
int error_of_errno (int errnum) { return MEMIF_ERR_SYSCALL; }
void channel_close (channel_t *ch, int err, end_t end, const char *format, ...) {}
void channel_up (channel_t *ch) {}
void queues_return_external (conn_t *c) {}
void text_v (char *to, size_t size, const char *format, va_list args) { to[0] = 0; }
void explicit_bzero (void *at, size_t size) {}

int
main (void)
{
  make_queue (true, false);
  its_link.num_regions = Frama_C_interval (0, REGIONS);
  its_link.regions = more_regions;
  for (int i = 0; i < REGIONS; i++)
    more_regions[i] = (region_t){ .addr = mapped, .size = MAPPED, .fd = -1 };
  its_link.s2m = s2m;
  its_link.m2s = m2s;
  its_link.num_s2m = Frama_C_interval (0, 2);
  its_link.num_m2s = Frama_C_interval (0, 2);
  for (int i = 0; i < 3; i++)
    s2m[i] = m2s[i] = (link_ring_t){ .offset = 8 * Frama_C_interval (0, 5), .log2 = LOG2, .efd = 3 };
  its_link.held = &held;
  held = ANY (unsigned);
  conn.link = &its_link;
  conn.args.is_master = 1;
  conn.args.interface_id = ANY (uint32_t);
  conn.args.mode = Frama_C_interval (0, 2);
  Frama_C_make_unknown ((char *) conn.args.secret, sizeof conn.args.secret);
  conn.channel = any_bool () ? &channel : NULL;
  conn.num_rx = conn.num_tx = 2;
  conn.ext.allow_unsealed = any_bool ();
  sock.conns = &conn;
  channel.sock = &sock;
  channel.event = &event;
  channel.conn = CALL == CH_MASTER_INIT ? NULL : &conn;
  channel.state = CALL;
  event.owner = &channel;
  event.fd = 3;
  handshake_event (&event);
  return 0;
}
