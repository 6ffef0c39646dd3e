/* Sockets: their life, and the calls that set them. */
#define _GNU_SOURCE
#include <stdlib.h>

#include "control.h"

void
sock_free (sock_t *s)
{
  while (s->events)
    {
      event_t *e = s->events;
      s->events = e->next;
      s->memory.free (e);
    }
  give_back (&s->memory, s->allowed);
  s->memory.free (s);
  foreign_done ();
}

void
sock_free_dead (sock_t *s)
{
  while (s->dead_channels)
    {
      channel_t *ch = s->dead_channels;
      s->dead_channels = ch->next;
      s->memory.free (ch);
    }
  while (s->dead)
    {
      conn_t *c = s->dead;
      s->dead = c->next;
      queues_destroy (c);
      explicit_bzero (c->args.secret, sizeof c->args.secret);
      s->memory.free (c);
    }
}

int
memif_create_socket (memif_socket_handle_t *sock, memif_socket_args_t *args, void *private_ctx)
{
  /* A name that begins with NUL is an abstract one, as is one with '@'. */
  const bool abstract = args && !args->path[0];
  if (!sock || !args || !args->path[abstract]
      || !memchr (args->path + abstract, 0, sizeof args->path - abstract))
    return MEMIF_ERR_INVAL_ARG;
  locks_open ();
  if (eventfds_open ())
    return MEMIF_ERR_SYSCALL; /* memif_ext_socket_error tells */
  const allocator_t memory = { args->alloc ? args->alloc : malloc,
			       args->realloc ? args->realloc : realloc,
			       args->free ? args->free : free };
  sock_t *s = zalloc (&memory, sizeof *s);
  if (!s)
    return MEMIF_ERR_NOMEM;
  if (!foreign_open ())
    {
      memory.free (s);
      return MEMIF_ERR_NOMEM;
    }

  s->memory = memory;
  s->on_control_fd_update = args->on_control_fd_update;
  s->private_ctx = private_ctx;
  s->paused_listener = s->spare = -1;
  memcpy (s->path, args->path, sizeof s->path);
  if (abstract)
    s->path[0] = '@';
  memcpy (s->app_name, args->app_name[0] ? args->app_name : MEMIF_DEFAULT_APP_NAME,
	  args->app_name[0] ? sizeof s->app_name : sizeof MEMIF_DEFAULT_APP_NAME);
  memif_ext_configure_socket (s, &(memif_ext_socket_args_t){ 0 });

  int err = loop_open (s);
  if (err)
    {
      sock_free (s);
      return err;
    }
  memif_set_connection_request_timer (s, args->connection_request_timer);
  *sock = s;
  return MEMIF_ERR_SUCCESS;
}

int
memif_ext_configure_socket (memif_socket_handle_t sock, const memif_ext_socket_args_t *args)
{
  sock_t *s = sock;
  if (!s || !args)
    return MEMIF_ERR_INVAL_ARG;
  if (args->file_mode > 0777)
    return fail (s, MEMIF_ERR_INVAL_ARG, "%s: 0%o are no permissions of a file", s->path,
		 (unsigned) args->file_mode);
  size_t uids = args->allowed_uids ? args->num_allowed_uids : 0;
  size_t gids = args->allowed_gids ? args->num_allowed_gids : 0;
  uint32_t *allowed = NULL;
  if (uids + gids > 0)
    {
      allowed = s->memory.alloc ((uids + gids) * sizeof *allowed);
      if (!allowed)
	return fail (s, MEMIF_ERR_NOMEM, "no memory for the settings of %s", s->path);
      for (size_t i = 0; i < uids + gids; i++)
	allowed[i] = i < uids ? args->allowed_uids[i] : args->allowed_gids[i - uids];
    }
  give_back (&s->memory, s->allowed);
  s->allowed = allowed;
  s->ext = *args;
  s->ext.num_allowed_uids = (uint16_t) uids;
  s->ext.num_allowed_gids = (uint16_t) gids;
  s->ext.allowed_uids = allowed;
  s->ext.allowed_gids = allowed ? allowed + uids : NULL;
  if (!s->ext.file_mode && !s->ext.set_file_mode)
    s->ext.file_mode = 0600;
  if (!s->ext.handshake_ms)
    s->ext.handshake_ms = 5000;
  if (!s->ext.max_half_open)
    s->ext.max_half_open = 64;
  if (!s->ext.log_lines)
    s->ext.log_lines = 20;
  return MEMIF_ERR_SUCCESS;
}

int
memif_delete_socket (memif_socket_handle_t *sock)
{
  sock_t *s = sock ? *sock : NULL;
  if (!s)
    return MEMIF_ERR_INVAL_ARG;
  if (s->conns)
    return fail (s, MEMIF_ERR_INVAL_ARG, "%s is still in use", s->path);
  dispatch_begin (s);
  while (s->channels)
    channel_close (s->channels, MEMIF_ERR_DISCONNECT, END_OURS, "the socket is closed");
  listener_close (s);
  log_tell (s, UINT64_MAX);
  loop_close (s);
  s->deleted = true;
  *sock = NULL;
  dispatch_end (s); /* frees it, now or when the callbacks are through */
  return MEMIF_ERR_SUCCESS;
}

int
memif_register_external_region (memif_socket_handle_t sock, memif_add_external_region_t *add,
				memif_get_external_region_addr_t *get_addr,
				memif_del_external_region_t *del,
				memif_get_external_buffer_offset_t *get_offset)
{
  sock_t *s = sock;
  if (!s || (get_offset && !add))
    return MEMIF_ERR_INVAL_ARG;
  s->external = (external_t){ add, get_addr, del, get_offset };
  return MEMIF_ERR_SUCCESS;
}

const char *
memif_get_socket_path (memif_socket_handle_t sock)
{
  return sock ? ((sock_t *) sock)->path : NULL;
}

const char *
memif_get_socket_filename (memif_conn_handle_t conn)
{
  return conn ? memif_get_socket_path (((conn_t *) conn)->sock) : NULL;
}

int
memif_get_listener_fd (memif_socket_handle_t sock)
{
  sock_t *s = sock;
  return !s ? -1 : s->listener ? s->listener->fd : s->paused_listener;
}

int
memif_set_listener_fd (memif_socket_handle_t sock, int fd)
{
  return sock && fd >= 0 ? listener_adopt (sock, fd) : MEMIF_ERR_INVAL_ARG;
}
