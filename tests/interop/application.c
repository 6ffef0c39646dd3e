/* A DPDK application, as small as one can be: what its port receives goes back, its MAC addresses
 * swapped. The port is made by --vdev among the arguments. */

#include <signal.h>
#include <stdlib.h>

#include <rte_eal.h>
#include <rte_ethdev.h>
#include <rte_ether.h>
#include <rte_mbuf.h>

#define PORT 0
#define BURST 32

static volatile sig_atomic_t stopped;

static void
stop (int signal)
{
  (void) signal;
  stopped = 1;
}

static void
start_port (void)
{
  struct rte_mempool *pool = rte_pktmbuf_pool_create (
    "packets", 16383, 256, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
  /* Packets longer than a buffer leave as chains. */
  struct rte_eth_conf conf = { .txmode = { .offloads = RTE_ETH_TX_OFFLOAD_MULTI_SEGS } };

  if (!pool || !rte_eth_dev_is_valid_port (PORT))
    rte_exit (EXIT_FAILURE, "no memory, or no port\n");
  if (rte_eth_dev_configure (PORT, 1, 1, &conf) ||
      rte_eth_rx_queue_setup (PORT, 0, 1024, SOCKET_ID_ANY, NULL, pool) ||
      rte_eth_tx_queue_setup (PORT, 0, 1024, SOCKET_ID_ANY, NULL) || rte_eth_dev_start (PORT))
    rte_exit (EXIT_FAILURE, "the port does not start\n");
}

static void
send_back (struct rte_mbuf **packets, uint16_t count)
{
  uint16_t sent = 0;

  for (uint16_t i = 0; i < count; i++)
    {
      struct rte_ether_hdr *header = rte_pktmbuf_mtod (packets[i], struct rte_ether_hdr *);
      struct rte_ether_addr from = header->src_addr;
      header->src_addr = header->dst_addr;
      header->dst_addr = from;
    }
  while (sent < count && !stopped)
    sent += rte_eth_tx_burst (PORT, 0, packets + sent, count - sent);
  rte_pktmbuf_free_bulk (packets + sent, count - sent);
}

int
main (int argc, char **argv)
{
  struct rte_mbuf *packets[BURST];

  if (rte_eal_init (argc, argv) < 0)
    return EXIT_FAILURE;
  signal (SIGINT, stop);
  start_port ();
  while (!stopped)
    send_back (packets, rte_eth_rx_burst (PORT, 0, packets, BURST));
  rte_eth_dev_stop (PORT);
  rte_eth_dev_close (PORT);
  return rte_eal_cleanup () ? EXIT_FAILURE : EXIT_SUCCESS;
}
