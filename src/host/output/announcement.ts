import { FAMILIES } from "../../base/address.js";
import { formatMac } from "../../base/mac.js";
import type { AttachConfig } from "../../commandline/invocation.js";
import type { GuestConfig } from "../../config/guest-config.js";

/** What stdout gets when the network is up. */
export function announcement(options: AttachConfig, config: GuestConfig): string {
  switch (options.announcement) {
    case "slipway":
      return slipwayLine(options, config);
    case "slirp4netns":
      return slirp4netnsList(options, config);
  }
}

function slipwayLine({ tap, target }: AttachConfig, { plans, mtu, dns }: GuestConfig): string {
  const networks = plans.map(({ guest, prefix, gateway, dns: server }) => {
    const answers = dns === null ? "" : `, DNS ${server}`;
    return `${guest}/${prefix.length}, gateway ${gateway}${answers}`;
  });
  const end = target.pid === null ? "Ctrl-C ends it" : `it ends with process ${target.pid}`;
  return `${tap} is up: ${networks.join("; ")}; MTU ${mtu}; ${end}\n`;
}

/** The list that slirp4netns 1.3 prints, to the letter, as scripts parse it. */
function slirp4netnsList(
  { network, apiSocket, mac }: AttachConfig,
  { outbound }: GuestConfig,
): string {
  const { ipv4: plan, mtu, hostLoopback } = network;
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
  if (typeof apiSocket === "object") lines.push(`* API Socket:      ${apiSocket.path}`);
  for (const family of FAMILIES) {
    const address = outbound[family];
    if (address !== null) lines.push(`* Outbound IPv${family}:    ${address}`);
  }
  if (mac !== null) lines.push(`* MAC address:     ${formatMac(mac)}`);
  if (hostLoopback) {
    lines.push(
      `WARNING: 127.0.0.1:* on the host is accessible as ${plan.gateway} (set --disable-host-loopback to prohibit connecting to 127.0.0.1:*)`,
    );
  }
  return `${lines.join("\n")}\n`;
}
