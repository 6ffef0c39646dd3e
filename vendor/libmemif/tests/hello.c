/* What a program of one's own begins with: built and run against the installed library.
 *
 *   cc hello.c $(pkg-config --cflags --libs libmemif) -o hello */
#include <libmemif.h>
#include <stdio.h>

int
main (void)
{
  memif_socket_args_t args = { .path = "@memif-hello" };
  memif_socket_handle_t sock;
  int err = memif_create_socket (&sock, &args, NULL);
  printf ("libmemif %s, memif %s: %s\n", LIBMEMIF_VERSION, memif_get_version_str (), memif_strerror (err));
  return err || memif_delete_socket (&sock);
}
