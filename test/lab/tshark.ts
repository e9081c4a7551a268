import type { Namespace } from "./namespace.ts";
import type { Process } from "./process.ts";

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
