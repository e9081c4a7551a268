#!/bin/sh
# Records linux.pcap: what a Linux kernel, ping and a UDP program put on a link whose checksums are
# not offloaded. Run as root in a network namespace of its own:  unshare -n ./record.sh
# Needs tcpdump, ping, ethtool, python3. Frame numbers in the tests are those of the file.
set -e
here=$(dirname "$(readlink -f "$0")")
ip link set lo up
ip link add near type veth peer name far
unshare -n sleep 30 &
holder=$!
sleep 0.2
ip link set far netns "$holder"
far="nsenter -t $holder -n"
ip link set near address 02:00:00:00:00:0a
$far ip link set far address 02:00:00:00:00:0b
ip addr add 198.51.100.1/24 dev near
ip -6 addr add 2001:db8::1/64 dev near nodad
$far ip addr add 198.51.100.2/24 dev far
$far ip -6 addr add 2001:db8::2/64 dev far nodad
ethtool -K near tx off >/dev/null
$far ethtool -K far tx off >/dev/null
ip link set near up
$far ip link set far up
sleep 3 # the kernels' own neighbour and multicast chatter
tcpdump -i near -U -w "$here/linux.pcap" 'not ip6 multicast' &
recorder=$!
sleep 1
ping -c1 198.51.100.2                 # ARP, echo
ping -c1 -s 17 -Q 0x28 198.51.100.2   # an odd length, a service class
ping -c1 2001:db8::2
ping -c1 -R 198.51.100.2              # options
ping -c1 -s 3000 198.51.100.2         # fragments
ping -c1 -s 3000 2001:db8::2
python3 - <<'PROGRAM'
import socket
four = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
four.bind(("198.51.100.1", 40001))
four.sendto(b"hello", ("198.51.100.2", 9))
six = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
six.bind(("2001:db8::1", 40002))
six.sendto(b"hello six", ("2001:db8::2", 9))
padding = bytes([0, 0, 1, 4, 0, 0, 0, 0])
six.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_HOPOPTS, padding)
six.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_DSTOPTS, padding)
six.sendto(b"with options", ("2001:db8::2", 9))
PROGRAM
sleep 1
kill "$recorder" "$holder"
wait
