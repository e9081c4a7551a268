import { failing, link, served } from "./addresses.ts";
import { Agent } from "./agent/client.ts";
import { startDns } from "./dns.ts";
import { HttpServer } from "./http.ts";
import type { Namespace } from "./namespace.ts";
import type { Stage } from "./stage.ts";

/** Everything beyond the host: a router, servers, and addresses that fail. */
export class World {
  readonly root: Namespace;
  readonly http: HttpServer;
  /** Holds sockets of the world: a test's own servers, at `served.services`. */
  readonly agent: Agent;

  private constructor(root: Namespace, http: HttpServer, agent: Agent) {
    this.root = root;
    this.http = http;
    this.agent = agent;
  }

  /** @param stage with a veth device `host` in its network namespace */
  static async create(stage: Stage): Promise<World> {
    const root = stage.namespace;
    await root.shell(network());
    const [http, agent] = await Promise.all([
      HttpServer.start(root, stage),
      Agent.start(root, stage),
      startDns(root),
    ]);
    return new World(root, http, agent);
  }
}

function network(): string {
  // Without forwarding the kernel sends no errors for addresses that are not its own; by default it
  // sends at most one ICMP error per second and destination.
  return `
    cd /proc/sys/net
    echo 0 > ipv6/conf/default/accept_dad
    echo 0 > ipv6/conf/host/accept_dad
    echo 1 > ipv4/ip_forward
    echo 1 > ipv6/conf/all/forwarding
    echo 0 > ipv4/icmp_ratelimit
    echo 0 > ipv6/icmp/ratelimit
    ip -batch - <<END
link set lo up
link set host up
address add ${link.world}/${link.length} dev host
address add ${link.world6}/${link.length6} dev host
${Object.values(served)
  .map((address) => `address add ${address} dev lo`)
  .join("\n")}
route add throw ${failing.networkUnreachable}
route add unreachable ${failing.hostUnreachable}
route add prohibit ${failing.prohibited}
route add blackhole ${failing.blackHole}
route add throw ${failing.networkUnreachable6}
route add prohibit ${failing.prohibited6}
route add blackhole ${failing.blackHole6}
END
  `;
}
