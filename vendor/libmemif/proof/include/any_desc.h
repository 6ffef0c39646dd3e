/* What two words that were read from a ring mean: anything. The core's link.h gets this between
 * desc_from and desc_read, see annotate.
 *
 * The analyser knows no relation between two values, as that an offset and a length lie in a region
 * together. So region and offset, and with LENGTHS the length too, are taken one by one, up to
 * beyond the largest region, and the regions are small: the core only compares these numbers. */
#ifndef PROOF_ANY_DESC_H
#define PROOF_ANY_DESC_H

#include "__fc_builtin.h"

enum { REGIONS = 2, BUFFER = 2, SIZE_0 = 3, SIZE_1 = 2 * BUFFER };

/* Any descriptor. */
static inline desc_t
any_desc (uint64_t w0, uint64_t w1)
{
  desc_t d = { .flags = (uint16_t) w0, .metadata = (uint32_t) (w1 >> 32) };
  uint16_t region = Frama_C_interval (0, REGIONS);
  uint32_t offset = Frama_C_unsigned_int_interval (0, SIZE_1 + 1);
  //@ split region;
  //@ split offset;
#ifdef LENGTHS
  uint32_t length = Frama_C_unsigned_int_interval (0, SIZE_1 + 1);
  //@ split length;
  d.length = length <= SIZE_1 ? length : Frama_C_unsigned_int_interval (SIZE_1 + 1, UINT32_MAX);
#else
  d.length = (uint32_t) (w0 >> 32);
#endif
  d.region = region < REGIONS ? region : Frama_C_interval (REGIONS, UINT16_MAX);
  d.offset = offset <= SIZE_1 ? offset : Frama_C_unsigned_int_interval (SIZE_1 + 1, UINT32_MAX);
  return d;
}

#define desc_from any_desc

#endif
