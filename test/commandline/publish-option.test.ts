import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { UserError } from "../../src/base/errors.js";
import { parseCommandLine } from "../../src/commandline/command-line.js";
import {
  distinctPorts,
  formatPublish,
  type PublishOption,
  readPublish,
  readPublishedPlace,
} from "../../src/commandline/publish-option.js";

const read = (text: string): PublishOption => readPublish(text, "--publish");

function parsed(text: string): string {
  const { protocol, host, hostPort, guestPort, count } = read(text);
  return `${protocol} ${host ?? "any"} ${hostPort}>${guestPort} x${count}`;
}

describe("docker's syntax", () => {
  test.each([
    ["80", "tcp any 0>80 x1"],
    [":80", "tcp any 0>80 x1"],
    ["8080:80", "tcp any 8080>80 x1"],
    ["0:80", "tcp any 0>80 x1"],
    ["127.0.0.1:0:80-82/udp", "udp 127.0.0.1 0>80 x3"],
    ["8080:80/tcp", "tcp any 8080>80 x1"],
    ["5353:53/udp", "udp any 5353>53 x1"],
    ["127.0.0.1:8080:80", "tcp 127.0.0.1 8080>80 x1"],
    ["127.0.0.1::80", "tcp 127.0.0.1 0>80 x1"],
    ["[::1]:8080:80", "tcp ::1 8080>80 x1"],
    ["[::]::80", "tcp :: 0>80 x1"],
    ["8000-8010:9000-9010", "tcp any 8000>9000 x11"],
    ["80-81", "tcp any 0>80 x2"],
    ["5353:53/UDP", "udp any 5353>53 x1"],
    ["65535:1", "tcp any 65535>1 x1"],
  ])("%s", (text, expected) => {
    expect(parsed(text)).toBe(expected);
  });

  test.each([
    ["", "--publish is empty: write it like 8080:80"],
    ["8080:", "the port of the guest is missing: write it like 8080:80"],
    ["127.0.0.1:8080:", "the port of the guest is missing"],
    ["18080-18082:80", "a free port of 18080-18082 is not chosen: give one, or none, as in :80,"],
    ["8080:0", "there is no port 0: ports are 1 to 65535"],
    ["99999:80", "there is no port 99999: ports are 1 to 65535"],
    ["8080:65536", "there is no port 65536"],
    ["65530-65540:80-90", "there is no port 65540"],
    ["8010-8000:9000-9010", "the range 8010-8000 is backwards: write 8000-8010"],
    ["8000-8010:80-81", "8000-8010 and 80-81 differ in length: give as many ports of both"],
    ["8000-8010:9000", "a free port of 8000-8010 is not chosen"],
    ["8080:80/sctp", '"sctp" ports cannot be published: write tcp or udp behind the slash'],
    ["8080:80/", '"" ports cannot be published: write tcp or udp'],
    ["8080/tcp:80/tcp", '"tcp:80/tcp" ports cannot be published'],
    ["::1:8080:80", "an IPv6 address needs brackets: write it like [::1]:8080:80"],
    ["2001:db8::1:8080:80", "an IPv6 address needs brackets"],
    ["[::1:8080:80", "write an IPv6 address like [::1]:8080:80"],
    ["[]:80:80", "write an IPv6 address like [::1]:8080:80"],
    ["[::1]", "write an IPv6 address like [::1]:8080:80"],
    ["[::1]:1:2:3", "write an IPv6 address like [::1]:8080:80"],
    ["1:2:3:4", "there are too many colons: write it like 127.0.0.1:8080:80"],
    ["1.2.3:80:80", '"1.2.3" is not an address: give one of this host, such as 127.0.0.1'],
    [
      "localhost:8080:80",
      '"localhost" is not an address: give one of this host, such as 127.0.0.1',
    ],
    ["[fe80::1]:8080:80", "fe80::1 is link-local, which is not one address of this host"],
    ["80-:80", '"80-" is not a port: give a number, or a range such as 8000-8010'],
    ["http:80", '"http" is not a port'],
    [" 80", '" 80" is not a port'],
    ["-1:80", '"-1" is not a port'],
  ])("%j is refused: %s", (text, reason) => {
    const message = expect.stringContaining(reason);
    expect(() => read(text)).toThrow(expect.objectContaining({ message, exitStatus: 2 }));
    if (text !== "") expect(() => read(text)).toThrow(`--publish ${JSON.stringify(text)}: `);
  });

  test.each(["8080:80/tcp", ":80/udp", "127.0.0.1:8000-8010:9000-9010/tcp", "[::1]::53/udp"])(
    "%s is written as it is read",
    (text) => {
      expect(formatPublish(read(text))).toBe(text);
    },
  );

  test("any other input is read, or refused with a reason", () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(..."0189:-/[]udptc. ") }), (text) => {
        try {
          const { guestPort, count } = read(text);
          expect(guestPort + count - 1).toBeLessThanOrEqual(65_535);
        } catch (error) {
          expect(error).toBeInstanceOf(UserError);
        }
      }),
    );
  });
});

describe("a published port of the host", () => {
  const place = (text: string) => readPublishedPlace(text, "port");

  test.each([
    ["8080", null, 8080, 1],
    [":8080/udp", null, 8080, 1],
    ["127.0.0.1:8000-8010", "127.0.0.1", 8000, 11],
    ["[::1]:53/udp", "::1", 53, 1],
  ])("%s", (text, host, hostPort, count) => {
    const { host: address, ...rest } = place(text);
    expect({ ...rest, host: address === null ? null : `${address}` }).toMatchObject({
      host,
      hostPort,
      count,
    });
  });

  test.each([
    ["8080:80", "give the port of the host alone, as in 8080"],
    ["x:80", '"x" is not an address'],
    ["::1:53", "an IPv6 address needs brackets: write it like [::1]:8080"],
    ["127.0.0.1:", '"" is not a port'],
    ["0", "there is no port 0"],
    ["80/icmp", '"icmp" ports cannot be published'],
  ])("%s is refused: %s", (text, reason) => {
    expect(() => place(text)).toThrow(reason);
  });
});

describe("ports that are given twice", () => {
  const distinct = (...texts: string[]) =>
    distinctPorts(texts.map(read), "--publish").map(formatPublish);

  test.each([
    ["8080:80", "8080:81"],
    ["8080:80", "127.0.0.1:8080:80"],
    ["127.0.0.1:8080:81", "8080:80"],
    ["0.0.0.0:8080:80", "127.0.0.1:8080:80"],
    ["[::]:8080:80", "[::1]:8080:80"],
    ["8000-8080:8000-8080", "8080:80"],
    ["8000-8080:8000-8080", "8080-8090:8080-8090"],
  ])("%s and %s are refused", (a, b) => {
    const sentence = `--publish ${formatPublish(read(a))} and ${formatPublish(read(b))} both take port 8080 of the host: choose another for one of them`;
    expect(() => distinct(a, b)).toThrow(sentence);
  });

  test.each([
    ["8080:80", "8080:80/udp"],
    ["127.0.0.1:8080:80", "127.0.0.2:8080:81"],
    ["0.0.0.0:8080:80", "[::]:8080:81"],
    ["8000-8079:8000-8079", "8080:80"],
    [":80", ":80"],
  ])("%s and %s are not the same", (a, b) => {
    expect(distinct(a, b)).toHaveLength(2);
  });

  test("the very same is given once, as with podman", () => {
    expect(distinct("8080:80", "9090:90", "8080:80/tcp")).toEqual(["8080:80/tcp", "9090:90/tcp"]);
  });

  test.each([
    ["run -p 8080:80 -p 8080:81 true", "--publish 8080:80/tcp and 8080:81/tcp both take"],
    ["run --network web -p 8080:80 -p 8080:81 true", "--publish 8080:80/tcp and 8080:81/tcp"],
    ["attach -p 8080:80 -p 8080:81 42", "--publish 8080:80/tcp and 8080:81/tcp both take"],
    ["port add 8080:80 8080:81", "port 8080:80/tcp and 8080:81/tcp both take port 8080"],
    ["port add 80-81", 'port "80-81": a range needs ports of the host'],
    ["port add 1-4097:1-4097", "4097 ports are too many: give at most 4096 in a range"],
    ["port rm 99999", 'port "99999": there is no port 99999'],
    ["run -P --publish-exclude ssh true", '--publish-exclude "ssh": write it like 22,8000-8010'],
  ])("slipway %s", (line, sentence) => {
    const message = expect.stringContaining(sentence);
    expect(() => parseCommandLine("slipway", line.split(" "))).toThrow(
      expect.objectContaining({ message, exitStatus: 2 }),
    );
  });
});
