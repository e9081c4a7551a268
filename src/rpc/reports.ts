import type { DRIVERS, GivenAttachment, GivenMember } from "./messages.js";

/** Frames and bytes, without virtio headers; `in`: sent by the member. */
export interface FrameCounters {
  readonly framesIn: number;
  readonly bytesIn: number;
  readonly framesOut: number;
  readonly bytesOut: number;
}

export interface AttachmentReport extends GivenAttachment {
  readonly networkId: string;
  readonly endpointId: string;
  readonly counters: FrameCounters;
  readonly drops: Readonly<Record<string, number>>;
}

export interface MemberReport {
  readonly id: string;
  readonly name: string;
  readonly hostname: string;
  readonly pid: number | null;
  /** File of its network namespace; null: none yet. */
  readonly netns: string | null;
  readonly labels: Readonly<Record<string, string>>;
  /** Seconds since 1970. */
  readonly since: number;
  readonly networks: readonly AttachmentReport[];
  /** HOST:PORT->PORT/PROTOCOL */
  readonly published: readonly string[];
}

export interface DaemonStatus {
  readonly version: string;
  readonly protocol: number;
  readonly pid: number;
  /** Device and inode of its network namespace. */
  readonly namespace: string;
  /** How many somebody has created: without those that are always there. */
  readonly networks: number;
  readonly members: number;
  /** Whether it serves clients in containers (--serve-containers). */
  readonly servesContainers: boolean;
  /** Its options and what its configuration file says, by the names of the options; without the password. */
  readonly settings: Readonly<Record<string, readonly string[]>>;
  /** Sentences for the user, such as that the state file was damaged. */
  readonly warnings: readonly string[];
  /** null: it has no store. */
  readonly cluster: ClusterStatus | null;
}

/** `joining`: the store has not answered yet. `cut off`: it answers no more, and what is known stays. */
export type ClusterState = "joining" | "connected" | "cut off";

export interface ClusterStatus {
  /** Where the store is, such as `etcd://192.0.2.10:2379`. */
  readonly store: string;
  readonly state: ClusterState;
  /** Since when it is in that state, in seconds since 1970. */
  readonly since: number;
  /** Why it is joining or cut off, as a sentence; null: it is connected, or not known. */
  readonly why: string | null;
  /** This host. */
  readonly host: { readonly id: string; readonly name: string };
  /** How many are known, this host and its own included. */
  readonly hosts: number;
  readonly networks: number;
  readonly members: number;
  /** What this host's tunnels have done. `in`: what came from other hosts. */
  readonly tunnels: {
    readonly counters: FrameCounters;
    /** By reason, such as `tunnel-spoofed`. */
    readonly drops: Readonly<Record<string, number>>;
  };
}

/** A host of the cluster. */
export interface HostReport {
  readonly id: string;
  readonly name: string;
  /** Where others reach it: one of each family at most. */
  readonly addresses: readonly string[];
  /** Of this host that of its cluster; of others `connected`, or `unknown` while this host is not connected. */
  readonly state: ClusterState | "unknown";
  /** Whether it is this host. */
  readonly isSelf: boolean;
  /** On overlays; null: not known, as the store is away. */
  readonly members: number | null;
  /** Its WireGuard key, in base64. */
  readonly publicKey: string;
  /** Of Slipway. */
  readonly version: string;
}

/** A machine without Slipway that is a member of an overlay. */
export interface PeerReport {
  readonly id: string;
  readonly name: string;
  readonly kind: "vtep" | "wireguard";
  readonly addresses: readonly string[];
  readonly mac: string;
  /** Of a VTEP its ADDRESS:PORT; of a WireGuard client the name of the host that the others reach it through. */
  readonly via: string;
}

export interface AddedPeer {
  readonly peer: PeerReport;
  /** What wg-quick(8) needs on the WireGuard client, with its private key, which is kept nowhere; null for a VTEP. */
  readonly configuration: string | null;
}

/** A network, in the format of `docker network inspect`. */
export interface NetworkReport {
  readonly Name: string;
  readonly Id: string;
  readonly Created: string;
  /** `global`: the network is that of all hosts of the cluster. */
  readonly Scope: "local" | "global";
  readonly Driver: (typeof DRIVERS)[number] | "host" | "null";
  readonly EnableIPv4: boolean;
  readonly EnableIPv6: boolean;
  readonly IPAM: {
    readonly Driver: "default";
    readonly Options: Readonly<Record<string, string>>;
    readonly Config: readonly {
      readonly Subnet: string;
      readonly Gateway: string;
      readonly IPRange?: string;
    }[];
  };
  readonly Internal: boolean;
  readonly Attachable: boolean;
  readonly Ingress: boolean;
  readonly ConfigFrom: { readonly Network: "" };
  readonly ConfigOnly: boolean;
  /** Of overlays: the hosts that have members, and the peers. Absent elsewhere. */
  readonly Peers?: readonly { readonly Name: string; readonly IP: string }[];
  /** Members on all hosts, by their ids. */
  readonly Containers: Readonly<
    Record<
      string,
      {
        readonly Name: string;
        readonly EndpointID: string;
        readonly MacAddress: string;
        readonly IPv4Address: string;
        readonly IPv6Address: string;
      }
    >
  >;
  readonly Options: Readonly<Record<string, string>>;
  readonly Labels: Readonly<Record<string, string>>;
}

export interface Disconnected {
  /** The client that still has the TAP, as it is stopped; the interface goes when it continues. null: it is gone. */
  readonly kept: { readonly member: string; readonly ifname: string; readonly pid: number } | null;
}

/** A member, and where it is. */
export interface LocatedMember {
  readonly id: string;
  readonly name: string;
  readonly pid: number | null;
  /** File of its network namespace; null: none yet. */
  readonly netns: string | null;
}

/** The results of the methods. */
export interface Results {
  readonly status: DaemonStatus;
  readonly stop: Record<string, never>;
  readonly "network.create": NetworkReport;
  readonly "network.list": readonly NetworkReport[];
  readonly "network.inspect": NetworkReport;
  readonly "network.remove": Record<string, never>;
  readonly "network.prune": readonly string[];
  readonly "host.list": readonly HostReport[];
  readonly "peer.add": AddedPeer;
  readonly "peer.list": readonly PeerReport[];
  readonly "peer.remove": Record<string, never>;
  readonly "member.list": readonly MemberReport[];
  readonly "member.join": GivenMember;
  readonly "member.attach": Record<string, never>;
  readonly "member.publish": readonly string[];
  readonly "member.api": Record<string, never>;
  readonly "member.disconnect": Disconnected;
  /** null: there is no such member. */
  readonly "member.locate": LocatedMember | null;
  readonly "member.started": Record<string, never>;
  readonly "member.confirm": Record<string, never>;
}
