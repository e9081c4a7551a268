import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { formatPublish, parsePublish } from "../../src/commandline/publish-option.js";

function parsed(text: string): string | null {
  const option = parsePublish(text);
  if (option === null) return null;
  const { protocol, host, hostPort, guestPort, count } = option;
  return `${protocol} ${host ?? "any"} ${hostPort}>${guestPort} x${count}`;
}

describe("docker's syntax", () => {
  test.each([
    ["80", "tcp any 0>80 x1"],
    [":80", "tcp any 0>80 x1"],
    ["8080:80", "tcp any 8080>80 x1"],
    ["8080:80/tcp", "tcp any 8080>80 x1"],
    ["5353:53/udp", "udp any 5353>53 x1"],
    ["127.0.0.1:8080:80", "tcp 127.0.0.1 8080>80 x1"],
    ["127.0.0.1::80", "tcp 127.0.0.1 0>80 x1"],
    ["[::1]:8080:80", "tcp ::1 8080>80 x1"],
    ["[::]::80", "tcp :: 0>80 x1"],
    ["8000-8010:9000-9010", "tcp any 8000>9000 x11"],
    ["80-81", "tcp any 0>80 x2"],
    ["65535:1", "tcp any 65535>1 x1"],
  ])("%s", (text, expected) => {
    expect(parsed(text)).toBe(expected);
  });

  test.each([
    ["", "nothing"],
    ["8080:", "no port of the guest"],
    ["0:80", "port 0"],
    ["8080:0", "port 0"],
    ["8080:65536", "beyond the last port"],
    ["8010-8000:9000-9010", "a range backwards"],
    ["8000-8010:9000", "ranges of different lengths"],
    ["8080:80/sctp", "another protocol"],
    ["::1:8080:80", "IPv6 without brackets"],
    ["1.2.3:80:80", "no address"],
    ["[]:80:80", "an empty address"],
    ["80-:80", "half a range"],
    ["http:80", "a name"],
    [" 80", "a blank"],
  ])("%j is invalid: %s", (text) => {
    expect(parsed(text)).toBeNull();
  });

  test.each(["8080:80/tcp", ":80/udp", "127.0.0.1:8000-8010:9000-9010/tcp", "[::1]::53/udp"])(
    "%s is written as it is read",
    (text) => {
      const option = parsePublish(text);
      expect(option === null ? null : formatPublish(option)).toBe(text);
    },
  );

  test("no input makes it throw", () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(..."0189:-/[]udptc. ") }), (text) => {
        const option = parsePublish(text);
        expect(option === null || option.guestPort + option.count - 1 <= 65_535).toBe(true);
      }),
    );
  });
});
