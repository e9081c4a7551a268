#include "options.h"

#include <getopt.h>
#include <stddef.h>
#include <string.h>

/* Codes of the options that count here; the others are OTHER. */
enum { OTHER = 256, NETNS, VERSION };

static const char short_options[] = "+46dqfehl:p:P:m:M:a:n:g:i:o:D:S:H:t:u:T:U:I:c:s:F:1";

static const struct option long_options[] = {
    {"address", 1, NULL, OTHER},
    {"conf-path", 1, NULL, OTHER},
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
    {"no-netns-quit", 0, NULL, OTHER},
    {"no-ra", 0, NULL, OTHER},
    {"no-splice", 0, NULL, OTHER},
    {"no-tcp", 0, NULL, OTHER},
    {"no-udp", 0, NULL, OTHER},
    {"ns-ifname", 1, NULL, OTHER},
    {"ns-mac-addr", 1, NULL, OTHER},
    {"one-off", 0, NULL, OTHER},
    {"outbound", 1, NULL, OTHER},
    {"outbound-if4", 1, NULL, OTHER},
    {"outbound-if6", 1, NULL, OTHER},
    {"pcap", 1, NULL, OTHER},
    {"pid", 1, NULL, OTHER},
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
    {"userns", 1, NULL, OTHER},
    {"version", 0, NULL, VERSION},
    {"vhost-user", 0, NULL, OTHER},
    {NULL, 0, NULL, 0},
};

/* Whether one argument is left, and it is the number of a process. */
static bool is_pid(int argc, char **argv) {
  return optind + 1 == argc && argv[optind][0] != '\0' &&
         argv[optind][strspn(argv[optind], "0123456789")] == '\0';
}

enum pasta_kind pasta_kind_of(int argc, char **argv, bool is_passt) {
  bool is_foreground = false;
  bool has_target = is_passt;
  opterr = 0;
  for (int code; (code = getopt_long(argc, argv, short_options, long_options, NULL)) != -1;) {
    if (code == 'h' || code == VERSION) return PASTA_ABOUT_ITSELF;
    if (code == 'f') is_foreground = true;
    if (code == NETNS) has_target = true;
  }
  if (!has_target && !is_pid(argc, argv)) return PASTA_COMMAND;
  return is_foreground ? PASTA_FOREGROUND : PASTA_BACKGROUND;
}
