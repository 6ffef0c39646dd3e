/* Copying bytes: of each length, to and from the very end of memory. */
#define _GNU_SOURCE
#include "any.h"

enum { LONGEST = 200 };

int
main (void)
{
  static uint8_t to[LONGEST], from[LONGEST];
  for (unsigned n = 0; n <= LONGEST; n++)
    copy_bytes (to + LONGEST - n, from + LONGEST - n, n);
  return 0;
}
