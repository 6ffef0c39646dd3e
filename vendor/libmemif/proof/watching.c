/* Looking on at a link of others, whatever is in its memory, and whatever file is said to be one. */
#define _GNU_SOURCE
#include "any.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "system.h"

/* The system answers anything. */
#define fcntl(...) ANY (int)
#define fstat(fd, st) (Frama_C_make_unknown ((char *) (st), sizeof *(st)), ANY (int))
#define fstatfs(fd, fs) (Frama_C_make_unknown ((char *) (fs), sizeof *(fs)), ANY (int))
#define pread any_bytes
#define mmap(...) ((void *) (any_bool () ? memory_0 : MAP_FAILED))
#define munmap(...) ANY (int)

static ssize_t
any_bytes (int fd, void *to, size_t size, off_t at)
{
  Frama_C_make_unknown ((char *) to, size);
  return Frama_C_long_interval (-1, (long) size);
}

#include "view.c"
#define fail watch_fail
#include "watch.c"

uint64_t
now_ns (void)
{
  return ANY (uint64_t);
}

void
text_f (char *to, size_t size, const char *format, ...)
{
  to[0] = 'x';
  to[1] = 0;
}

static uint8_t arena[ARENA];

int
main (void)
{
  static struct memif_ext_watch watch;
  static uint64_t buffers[SLOTS];
  static link_desc_t descs[SLOTS];
  memif_ext_view_handle_t view = NULL;
  memif_ext_view_ring_t rings[MEMIF_EXT_VIEW_RINGS], at;
  memif_ext_watch_handle_t w = &watch, opened;
  memif_ext_view_state_t state;
  memif_ext_watch_counts_t counts;
  memif_ext_packet_t packets[2];
  uint16_t n, behind;
  uint8_t log2 = ANY (uint8_t);
  //@ split log2;
  at = (memif_ext_view_ring_t){ .offset = 8 * Frama_C_interval (0, 4), .log2_size = log2 };

  make_queue (true, false);
  view = malloc (sizeof *view + REGIONS * sizeof view->region[0]);
  if (!view)
    return 0;
  view->num_regions = REGIONS;
  view->region[0].addr = memory_0;
  view->region[0].size = SIZE_0;
  view->region[1].addr = memory_1;
  view->region[1].size = SIZE_1;
  watch = (struct memif_ext_watch){ .view = view, .ring = (const ring_t *) (void *) ring, .log2 = LOG2,
				    .m2s = any_bool (), .mask = SLOTS - 1, .next = ANY (uint16_t),
				    .in_packet = any_bool (), .longest = Frama_C_interval (1, SLOTS),
				    .least_room = ANY (uint32_t), .buffer = buffers, .descs = descs,
				    .unmoved = ANY (uint32_t), .promised = any_bool (),
				    .fixed = any_bool (), .looked_at = ANY (uint64_t), .fastest = ANY (uint32_t) };
  switch (CALL)
    {
    case 0:
      memif_ext_watch_look (w, arena, ARENA, Frama_C_interval (1, ARENA), packets, 2, &n, &behind);
      break;
    case 1:
      memif_ext_watch_behind (w);
      memif_ext_watch_window (w);
      memif_ext_watch_counts (w, &counts);
      break;
    case 2:
      memif_ext_view_find (ANY (int), rings);
      break;
    case 3:
      view->region[0].addr = ring;
      view->region[0].size = RING;
      memif_ext_view_state (view, at, 1, ANY (uint16_t), &state);
      break;
    case 4:
      {
	int fds[2] = { 3, 4 };
	const char *why;
	memif_ext_view_open (&view, fds, 2, any_bool (), &why);
      }
      break;
    default:
      view->region[0].addr = ring;
      view->region[0].size = RING;
      if (memif_ext_watch_open (&opened, view, at, any_bool ()) == MEMIF_ERR_SUCCESS)
	memif_ext_watch_close (opened);
    }
  return 0;
}
