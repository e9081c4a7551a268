import { describe, expect, test } from "vitest";
import { readPublish } from "../../src/commandline/publish-option.js";
import {
  attachmentSpecOf,
  type Configured,
  namesOf,
  parseRequest,
  publishOf,
} from "../../src/integrations/cni/request.js";

const env = {
  CNI_COMMAND: "ADD",
  CNI_CONTAINERID: "0123456789abcdef",
  CNI_NETNS: "/run/netns/x",
  CNI_IFNAME: "eth0",
};

function added(conf: object, args = ""): Configured {
  const input = JSON.stringify({ cniVersion: "1.0.0", name: "web", ...conf });
  const request = parseRequest({ ...env, CNI_ARGS: args }, input);
  if (request.verb !== "ADD") throw new Error(request.verb);
  return request;
}

describe("a request of CNI", () => {
  test("asks for each address once, whoever names it", () => {
    const conf = {
      runtimeConfig: { ips: ["10.1.0.5/16", "fd00::5/64"] },
      args: { cni: { ips: ["10.1.0.5"] } },
    };
    expect(attachmentSpecOf(added(conf, "IP=fd00::5"), "eth0")).toEqual({
      network: "web",
      ifname: "eth0",
      mac: null,
      aliases: [],
      addresses: ["fd00::5", "10.1.0.5"],
    });
  });

  test("treats null from a runtime as absent", () => {
    const runtimeConfig = { portMappings: null, ips: null, aliases: null, mac: null, dns: null };
    expect(attachmentSpecOf(added({ runtimeConfig, prevResult: null }), "eth0").addresses).toEqual(
      [],
    );
  });

  test("uses the container's name if it is a valid DNS name", () => {
    const attachment = { containerId: env.CNI_CONTAINERID, ifname: "eth0" };
    const names = (pod: string) => namesOf(added({}, `K8S_POD_NAME=${pod}`), attachment);
    expect(names("db")).toEqual(["db", "0123456789ab"]);
    expect(names("happy_euler.1")).toEqual(["happy_euler.1", "0123456789ab"]);
    expect(names("-db")).toEqual(["0123456789ab"]);
  });

  test.for([
    ["", 8080, "8080:80/tcp"],
    ["127.0.0.1", 8080, "127.0.0.1:8080:80/tcp"],
    ["::1", 8080, "[::1]:8080:80/tcp"],
    ["", 0, ":80/tcp"],
  ] as const)("publishes %s %i as %s", ([hostIP, hostPort, text]) => {
    const published = publishOf({ hostIP, hostPort, containerPort: 80, protocol: "tcp" });
    expect(published).toBe(text);
    expect(() => readPublish(published, "--publish")).not.toThrow();
  });
});
