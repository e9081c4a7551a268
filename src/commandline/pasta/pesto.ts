import type { ForwardedPorts } from "./ports.js";

/** What a command line of `pesto` asks of a running `pasta -c SOCKET`, in this order. */
export interface PestoRequest {
  readonly socket: string;
  /** Empty: only what is forwarded is shown. */
  readonly changes: readonly PestoChange[];
  readonly show: boolean;
}

export type PestoChange =
  | {
      readonly action: "add" | "delete";
      readonly protocol: "tcp" | "udp";
      readonly direction: "inbound" | "outbound";
      readonly ports: ForwardedPorts;
    }
  | { readonly action: "clear"; readonly direction: "inbound" | "outbound" };
