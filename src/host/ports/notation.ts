import { UNSPECIFIED } from "../../base/address.js";
import { formatPublish, type PublishOption } from "../../commandline/publish-option.js";
import type { PublishedPort } from "../../nat/published-port.js";

/**
 * Published ports in the notation of `--publish`, as few texts as possible. Publishing them opens the same ports again.
 * @param ports with known host ports, all of which lead to the guest's own address
 */
export function notationOf(ports: readonly PublishedPort[]): readonly string[] {
  const sorted = ports.map(optionOf).sort(inOrder);
  const ranges: PublishOption[] = [];
  for (const option of sorted) {
    const last = ranges.at(-1);
    if (last !== undefined && follows(option, last)) {
      ranges[ranges.length - 1] = { ...last, count: last.count + 1 };
    } else {
      ranges.push(option);
    }
  }
  const texts = new Set(ranges.map(formatPublish));
  for (const range of ranges) {
    const [v4, v6] = [UNSPECIFIED[4], UNSPECIFIED[6]].map((host) =>
      formatPublish({ ...range, host }),
    );
    if (!texts.has(v4) || !texts.has(v6)) continue;
    texts.delete(v4);
    texts.delete(v6);
    texts.add(formatPublish({ ...range, host: null }));
  }
  return [...texts];
}

function optionOf({ protocol, host, hostPort, guestPort }: PublishedPort): PublishOption {
  return { protocol, host, hostPort, guestPort, count: 1 };
}

/** Ports that may form a range come one after the other. */
function inOrder(a: PublishOption, b: PublishOption): number {
  return (
    groupOf(a).localeCompare(groupOf(b)) || a.hostPort - b.hostPort || a.guestPort - b.guestPort
  );
}

function groupOf({ protocol, host, hostPort, guestPort }: PublishOption): string {
  return `${protocol} ${host} ${guestPort - hostPort}`;
}

function follows(option: PublishOption, range: PublishOption): boolean {
  return groupOf(option) === groupOf(range) && option.hostPort === range.hostPort + range.count;
}
