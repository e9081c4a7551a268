#include "options.h"

#include <getopt.h>
#include <stddef.h>
#include <string.h>

/* Codes of the options that count here; the others are OTHER. */
enum { OTHER = 256, NETNS, USERNS, NO_NETNS_QUIT, VERSION };

static const char short_options[] = "+46dqfehl:p:P:m:M:a:n:g:i:o:D:S:H:t:u:T:U:I:c:s:F:1";

static const struct option long_options[] = {
    {"address", 1, NULL, OTHER},
    {"conf-path", 1, NULL, 'c'},
    {"config-net", 0, NULL, OTHER},
    {"debug", 0, NULL, OTHER},
    {"dhcp-dns", 0, NULL, OTHER},
    {"dhcp-search", 0, NULL, OTHER},
    {"dns", 1, NULL, OTHER},
    {"dns-forward", 1, NULL, OTHER},
    {"dns-host", 1, NULL, OTHER},
    {"fd", 1, NULL, OTHER},
    {"foreground", 0, NULL, 'f'},
    {"fqdn", 1, NULL, OTHER},
    {"freebind", 0, NULL, OTHER},
    {"gateway", 1, NULL, OTHER},
    {"help", 0, NULL, 'h'},
    {"host-lo-to-ns-lo", 0, NULL, OTHER},
    {"hostname", 1, NULL, OTHER},
    {"interface", 1, NULL, OTHER},
    {"ipv4-only", 0, NULL, OTHER},
    {"ipv6-only", 0, NULL, OTHER},
    {"log-file", 1, NULL, OTHER},
    {"log-size", 1, NULL, OTHER},
    {"mac-addr", 1, NULL, OTHER},
    {"map-guest-addr", 1, NULL, OTHER},
    {"map-host-loopback", 1, NULL, OTHER},
    {"migrate-exit", 0, NULL, OTHER},
    {"migrate-no-linger", 0, NULL, OTHER},
    {"mtu", 1, NULL, OTHER},
    {"netmask", 1, NULL, OTHER},
    {"netns", 1, NULL, NETNS},
    {"netns-only", 0, NULL, OTHER},
    {"no-copy-addrs", 0, NULL, OTHER},
    {"no-copy-routes", 0, NULL, OTHER},
    {"no-dhcp", 0, NULL, OTHER},
    {"no-dhcp-dns", 0, NULL, OTHER},
    {"no-dhcp-search", 0, NULL, OTHER},
    {"no-dhcpv6", 0, NULL, OTHER},
    {"no-follow", 0, NULL, OTHER},
    {"no-icmp", 0, NULL, OTHER},
    {"no-map-gw", 0, NULL, OTHER},
    {"no-ndp", 0, NULL, OTHER},
    {"no-netns-quit", 0, NULL, NO_NETNS_QUIT},
    {"no-pidns", 0, NULL, OTHER},
    {"no-ra", 0, NULL, OTHER},
    {"no-splice", 0, NULL, OTHER},
    {"no-tcp", 0, NULL, OTHER},
    {"no-udp", 0, NULL, OTHER},
    {"ns-ifname", 1, NULL, 'I'},
    {"ns-mac-addr", 1, NULL, OTHER},
    {"one-off", 0, NULL, OTHER},
    {"outbound", 1, NULL, OTHER},
    {"outbound-if4", 1, NULL, OTHER},
    {"outbound-if6", 1, NULL, OTHER},
    {"pcap", 1, NULL, OTHER},
    {"pid", 1, NULL, 'P'},
    {"print-capabilities", 0, NULL, OTHER},
    {"quiet", 0, NULL, OTHER},
    {"repair-path", 1, NULL, OTHER},
    {"runas", 1, NULL, OTHER},
    {"search", 1, NULL, OTHER},
    {"socket", 1, NULL, OTHER},
    {"socket-path", 1, NULL, OTHER},
    {"splice-only", 0, NULL, OTHER},
    {"stats", 1, NULL, OTHER},
    {"stderr", 0, NULL, OTHER},
    {"tcp-ns", 1, NULL, OTHER},
    {"tcp-ports", 1, NULL, OTHER},
    {"trace", 0, NULL, OTHER},
    {"udp-ns", 1, NULL, OTHER},
    {"udp-ports", 1, NULL, OTHER},
    {"userns", 1, NULL, USERNS},
    {"version", 0, NULL, VERSION},
    {"vhost-user", 0, NULL, OTHER},
    {NULL, 0, NULL, 0},
};

/* Whether one argument is left, and it is the number of a process. */
static bool is_pid(int argc, char **argv) {
  return optind + 1 == argc && argv[optind][0] != '\0' &&
         argv[optind][strspn(argv[optind], "0123456789")] == '\0';
}

static void take(struct pasta_options *options, int code) {
  switch (code) {
    case 'f':
      options->kind = PASTA_FOREGROUND;
      break;
    case 'c':
      options->control = optarg;
      break;
    case 'I':
      options->ifname = optarg;
      break;
    case 'P':
      options->pid_file = optarg;
      break;
    case NETNS:
      options->netns = optarg;
      break;
    case USERNS:
      options->userns = optarg;
      break;
    case NO_NETNS_QUIT:
      options->stays = true;
      break;
    default:
      break;
  }
}

struct pasta_options pasta_read(int argc, char **argv, bool is_passt) {
  struct pasta_options options = {.kind = PASTA_BACKGROUND};
  optind = 0; /* from the beginning, also the second time */
  opterr = 0;
  for (int code; (code = getopt_long(argc, argv, short_options, long_options, NULL)) != -1;) {
    take(&options, code);
    if (code != 'h' && code != VERSION) continue;
    options.kind = PASTA_ABOUT_ITSELF;
    return options;
  }
  if (is_pid(argc, argv)) options.process = argv[optind];
  if (!is_passt && options.netns == NULL && options.process == NULL) options.kind = PASTA_COMMAND;
  return options;
}
