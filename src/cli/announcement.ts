import type { AttachConfig } from "./command-line.js";

/** What is said on stdout when the network is up. */
export function announcement(options: AttachConfig): string {
  switch (options.announcement) {
    case "slipway":
      return slipwayLine(options);
    case "slirp4netns":
      return slirp4netnsList(options);
  }
}

function slipwayLine({ network: { plan, mtu }, tap, target }: AttachConfig): string {
  const address = `${plan.guest}/${plan.prefix.length}`;
  const end = target.pid === null ? "Ctrl-C ends it" : `it ends with process ${target.pid}`;
  return `${tap} is up: ${address}, gateway ${plan.gateway}, DNS ${plan.dns}, MTU ${mtu}; ${end}\n`;
}

/** The words of slirp4netns 1.2, which its users' scripts and logs know. */
function slirp4netnsList({ network: { plan, mtu, hostLoopback } }: AttachConfig): string {
  const lines = [
    "Starting slirp",
    `* MTU:             ${mtu}`,
    `* Network:         ${plan.prefix.address}`,
    `* Netmask:         ${plan.prefix.netmask}`,
    `* Gateway:         ${plan.gateway}`,
    `* DNS:             ${plan.dns}`,
    `* DHCP begin:      ${plan.dhcpBegin}`,
    `* DHCP end:        ${plan.dhcpEnd}`,
    `* Recommended IP:  ${plan.guest}`,
  ];
  if (hostLoopback) {
    lines.push(
      `WARNING: 127.0.0.1:* on the host is accessible as ${plan.gateway} (set --disable-host-loopback to prohibit connecting to 127.0.0.1:*)`,
    );
  }
  return `${lines.join("\n")}\n`;
}
