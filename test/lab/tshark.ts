import type { Namespace } from "./namespace.ts";
import type { Process } from "./process.ts";

/** tshark ignores checksums unless told to verify them. */
export const checksumOptions: readonly string[] = ["ip", "tcp", "udp"].flatMap((name) => [
  "-o",
  `${name}.check_checksum:TRUE`,
]);

/**
 * What tshark calls wrong in TCP although it may be right: Linux writes 0xffff for a checksum of 0, the same in one's
 * complement, which one of 65,536 segments has.
 */
export const mangledZero = "tcp.checksum == 0xffff";

/** Filter of the packets with a wrong checksum, as far as tshark can tell. */
export const wrongChecksum = ["ip", "tcp", "udp", "icmp", "icmpv6"]
  .map((name) => `${name}.checksum.status == "Bad"`)
  .map((wrong) => (wrong.startsWith("tcp.") ? `(${wrong} && !(${mangledZero}))` : wrong))
  .join(" || ");

/**
 * Starts tshark, which prints each packet as it arrives, and waits until it captures.
 *
 * It prints "Capturing on" before it has opened the socket: packets are missed then, and an
 * interface that is down at that moment ends it. "Capture started" comes after.
 * @param options such as those of the interface and the capture filter
 */
export async function startTshark(place: Namespace, options: readonly string[]): Promise<Process> {
  const tshark = place.spawn(["tshark", "-n", "-l", ...options]);
  await tshark.printed(/Capture started/);
  return tshark;
}
