/* Sockets and interfaces: their life, and the calls that set them. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <unistd.h>

#include "control.h"

int
memif_create_socket (memif_socket_handle_t *sock, memif_socket_args_t *args, void *private_ctx)
{
  if (!sock || !args || !args->path[0] || !memchr (args->path, 0, sizeof args->path))
    return MEMIF_ERR_INVAL_ARG;
  locks_open ();
  const allocator_t memory = { args->alloc ? args->alloc : malloc,
			       args->realloc ? args->realloc : realloc,
			       args->free ? args->free : free };
  sock_t *s = zalloc (&memory, sizeof *s);
  if (!s)
    return MEMIF_ERR_NOMEM;

  s->memory = memory;
  s->on_control_fd_update = args->on_control_fd_update;
  s->private_ctx = private_ctx;
  s->paused_listener = -1;
  memcpy (s->path, args->path, sizeof s->path);
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
  if (!s->ext.file_mode)
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
  enter (s);
  while (s->channels)
    channel_close (s->channels, MEMIF_ERR_DISCONNECT, END_OURS, "the socket is closed");
  listener_close (s);
  log_tell (s, UINT64_MAX);
  loop_close (s);
  s->deleted = true;
  *sock = NULL;
  leave (s); /* frees it, now or when the callbacks are through */
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

memif_socket_handle_t
memif_get_socket_handle (memif_conn_handle_t conn)
{
  return conn ? ((conn_t *) conn)->sock : NULL;
}

const char *
memif_get_socket_path (memif_socket_handle_t sock)
{
  return sock ? ((sock_t *) sock)->path : NULL;
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

static uint64_t
ns_of (struct timespec t)
{
  return t.tv_sec < 0 || t.tv_nsec < 0 ? 0
				       : (uint64_t) t.tv_sec * NSEC_PER_SEC + (uint64_t) t.tv_nsec;
}

int
memif_set_connection_request_timer (memif_socket_handle_t sock, struct itimerspec timer)
{
  sock_t *s = sock;
  if (!s)
    return MEMIF_ERR_INVAL_ARG;
  s->first_ns = ns_of (timer.it_value);
  s->period_ns = ns_of (timer.it_interval);
  if (!s->first_ns)
    s->first_ns = s->period_ns;
  if (!s->period_ns)
    s->period_ns = s->first_ns;
  s->next_request = 0;
  timer_update (s);
  return MEMIF_ERR_SUCCESS;
}

static int
check_args (sock_t *s, memif_conn_args_t *args)
{
  if (args->log2_ring_size > MAX_LOG2_RING_SIZE)
    return fail (s, MEMIF_ERR_MAX_RING, "log2_ring_size is %u: it may be 1 to %d",
		 args->log2_ring_size, MAX_LOG2_RING_SIZE);
  if (args->mode > MEMIF_INTERFACE_MODE_PUNT_INJECT)
    return fail (s, MEMIF_ERR_INVAL_ARG, "mode %u is unknown", args->mode);
  for (conn_t *c = s->conns; c; c = c->next)
    if (args->is_master && c->args.is_master && !c->closed
	&& c->args.interface_id == args->interface_id)
      return fail (s, MEMIF_ERR_ID, "a master with id %u exists already on %s",
		   (unsigned) args->interface_id, s->path);
  if (!args->num_s2m_rings)
    args->num_s2m_rings = 1;
  if (!args->num_m2s_rings)
    args->num_m2s_rings = 1;
  if (!args->buffer_size)
    args->buffer_size = 2048;
  if (!args->log2_ring_size)
    args->log2_ring_size = 10;
  return MEMIF_ERR_SUCCESS;
}

int
memif_ext_create (memif_conn_handle_t *conn, memif_conn_args_t *args,
		  const memif_ext_conn_args_t *ext, memif_connection_update_t *on_connect,
		  memif_connection_update_t *on_disconnect, memif_on_interrupt_t *on_interrupt,
		  void *private_ctx)
{
  sock_t *s = args ? args->socket : NULL;
  if (!conn || !s)
    return MEMIF_ERR_INVAL_ARG;
  memif_conn_args_t checked = *args;
  int err = check_args (s, &checked);
  if (err)
    return err;
  conn_t *c = zalloc (&s->memory, sizeof *c);
  if (!c)
    return fail (s, MEMIF_ERR_NOMEM, "no memory for an interface");

  c->sock = s;
  c->args = checked;
  if (ext)
    c->ext = *ext;
  c->on_connect = on_connect;
  c->on_disconnect = on_disconnect;
  c->on_interrupt = on_interrupt;
  c->private_ctx = private_ctx;
  err = queues_create (c);
  if (err)
    fail (s, err, "no memory or descriptors for the queues of %s", where (c));
  else if (checked.is_master)
    err = listener_open (s);
  if (err)
    {
      queues_destroy (c);
      s->memory.free (c);
      return err;
    }

  enter (s);
  c->next = s->conns;
  s->conns = c;
  *conn = c;
  if (!checked.is_master)
    channel_connect (c); /* what fails is told by on_fail and tried again */
  timer_update (s);
  leave (s);
  return MEMIF_ERR_SUCCESS;
}

int
memif_create (memif_conn_handle_t *conn, memif_conn_args_t *args,
	      memif_connection_update_t *on_connect, memif_connection_update_t *on_disconnect,
	      memif_on_interrupt_t *on_interrupt, void *private_ctx)
{
  return memif_ext_create (conn, args, NULL, on_connect, on_disconnect, on_interrupt, private_ctx);
}

int
memif_ext_close (memif_conn_handle_t conn)
{
  conn_t *c = conn;
  if (!c)
    return MEMIF_ERR_NOCONN;
  sock_t *s = c->sock;
  if (c->closed)
    return MEMIF_ERR_SUCCESS;
  enter (s);
  c->closed = true;
  if (c->channel)
    channel_close (c->channel, MEMIF_ERR_DISCONNECT, END_OURS, "the interface is closed");
  bool listening = !c->args.is_master;
  for (const conn_t *other = s->conns; other; other = other->next)
    listening |= other->args.is_master && !other->closed;
  if (!listening)
    listener_close (s);
  timer_update (s);
  leave (s);
  return MEMIF_ERR_SUCCESS;
}

int
memif_delete (memif_conn_handle_t *conn)
{
  conn_t *c = conn ? *conn : NULL;
  if (!c)
    return MEMIF_ERR_NOCONN;
  if (c->deleted)
    return MEMIF_ERR_INVAL_ARG;
  sock_t *s = c->sock;
  enter (s);
  c->deleted = true;
  memif_ext_close (c);
  log_tell (s, UINT64_MAX); /* of this one, before it goes */
  for (conn_t **at = &s->conns; *at; at = &(*at)->next)
    if (*at == c)
      {
	*at = c->next;
	break;
      }
  c->next = s->dead;
  s->dead = c;
  *conn = NULL;
  leave (s);
  return MEMIF_ERR_SUCCESS;
}

int
memif_request_connection (memif_conn_handle_t conn)
{
  conn_t *c = conn;
  if (!c || c->closed)
    return MEMIF_ERR_NOCONN;
  if (c->args.is_master)
    return fail (c->sock, MEMIF_ERR_ACCSLAVE, "%s: only a slave asks for a connection", where (c));
  if (c->channel)
    return fail (c->sock, MEMIF_ERR_ALRCONN, "%s is connected or connecting", where (c));
  enter (c->sock);
  int err = channel_connect (c);
  timer_update (c->sock);
  leave (c->sock);
  return err;
}
