import { expect, test } from "../fixture.ts";
import { Background } from "./background.ts";

/** A machine of its own behind the guest, as a container of podman's bridge networks: it tells clients their address. */
const MACHINE = `
  unshare --net sleep 60 &
  until [ "$(readlink /proc/$!/ns/net)" != "$(readlink /proc/self/ns/net)" ]; do sleep 0.05; done
  ip link add bridge type veth peer name container netns $!
  ip address add 10.89.0.1/24 dev bridge
  ip link set bridge up
  echo 1 > /proc/sys/net/ipv4/ip_forward
  exec nsenter --net=/proc/$!/ns/net sh -c '
    ip link set lo up
    ip address add 10.89.0.2/24 dev container
    ip link set container up
    ip route add default via 10.89.0.1
    socat TCP4-LISTEN:80,fork,reuseaddr SYSTEM:"echo tcp \\$SOCAT_PEERADDR" &
    socat UDP4-RECVFROM:80,fork SYSTEM:"echo udp \\$SOCAT_PEERADDR" &
    until grep -q ":0050 " /proc/net/tcp && grep -q ":0050 " /proc/net/udp; do sleep 0.05; done
    echo serving
    wait'`;

// From 6.1 on podman asks for this, and makes no DNAT rules. The bridge does not answer ARP for the machine's address.
test("a port may lead to a machine behind the guest", async ({ lab }) => {
  await using namespace = await lab.host.namespace();
  const machine = namespace.spawn([
    ...["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", MACHINE],
  ]);
  await machine.printed(/^serving$/m);
  await using _pasta = await Background.startPlain(lab, [
    ...["--config-net", "--quiet", "-T", "none", "-U", "none"],
    ...["--map-host-loopback", "169.254.1.2"],
    ...["-t", "0.0.0.0/8099:10.89.0.2/80", "-u", "8099:10.89.0.2/80", `${namespace.pid}`],
  ]);
  for (const protocol of ["tcp", "udp"]) {
    // socat waits for the end of a connection, and that long for the answer of UDP, which has none.
    const answer = await lab.host.user.output(
      ["socat", protocol === "tcp" ? "-t20" : "-t5", "STDIO", `${protocol}4:127.0.0.1:8099`],
      { input: "who am I?" },
    );
    expect(answer).toBe(`${protocol} 169.254.1.2\n`);
  }
});
