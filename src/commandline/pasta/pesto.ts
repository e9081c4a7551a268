import type { ForwardedPorts, Protocol } from "./ports.js";

/** What a command line of `pesto` asks of a running `pasta -c SOCKET`, in this order. */
export interface PestoRequest {
  readonly socket: string;
  /** Empty: only what is forwarded is shown. */
  readonly changes: readonly PestoChange[];
  /** Whether what is forwarded is shown, before and after the changes. */
  readonly show: boolean;
}

/** -t and -u are inbound, -T and -U outbound. */
export type Direction = "inbound" | "outbound";

export type PestoChange =
  | {
      readonly action: "add" | "delete";
      readonly protocol: Protocol;
      readonly direction: Direction;
      readonly ports: ForwardedPorts;
    }
  /** Of both protocols. */
  | { readonly action: "clear"; readonly direction: Direction };
