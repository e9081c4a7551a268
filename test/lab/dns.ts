import { httpName, served } from "./addresses.ts";
import type { Namespace } from "./namespace.ts";

/** dnsmasq: knows {@link httpName} in both families, a long record of large.example, and answers NXDOMAIN for everything else. */
export async function startDns(root: Namespace): Promise<void> {
  const server = root.spawn([
    "dnsmasq",
    "--conf-file=/dev/null",
    // Debug mode stays in the foreground and keeps its user: there may be only one.
    "--no-daemon",
    "--pid-file=",
    "--no-resolv",
    "--no-hosts",
    "--bind-interfaces",
    `--listen-address=${served.dns}`,
    `--listen-address=${served.dns6}`,
    `--host-record=${httpName},${served.http},${served.http6}`,
    `--txt-record=${httpName},the world of Slipway's lab`,
    // Longer than any datagram that a server sends (RFC 9715).
    `--txt-record=large.example,${Array(10).fill("7".repeat(200)).join(",")}`,
    "--local=/#/",
  ]);
  await server.printed(/started/);
}
