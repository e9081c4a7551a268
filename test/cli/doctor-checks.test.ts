import { describe, expect, test } from "vitest";
import { report } from "../../src/cli/commands/doctor.js";
import {
  checkAppArmor,
  checkConfinement,
  checkKernel,
  checkLimit,
  checkNode,
  checkPingGroups,
  checkUnprivilegedClone,
  type Finding,
} from "../../src/cli/commands/doctor-checks.js";

test.each<[string, Finding, Finding["state"], string | null]>([
  ["a kernel in use", checkKernel("6.1.0-13-amd64"), "ok", null],
  ["the oldest kernel", checkKernel("5.10.0"), "ok", null],
  ["a kernel too old", checkKernel("5.4.0-150-generic"), "problem", "apt-get"],
  ["a kernel of the last century", checkKernel("2.6.32"), "problem", "apt-get"],
  ["Node 22", checkNode("22.0.0"), "ok", null],
  ["Node 9", checkNode("9.11.2"), "problem", "SLIPWAY_NODE"],
  ["no namespaces", checkLimit("user.max_x", "0"), "problem", "sysctl -w user.max_x=15000"],
  ["some namespaces", checkLimit("user.max_x", "1"), "ok", null],
  ["a kernel without the limit", checkLimit("user.max_x", null), "ok", null],
  ["Debian's switch off", checkUnprivilegedClone("0"), "warning", "userns_clone=1"],
  ["Debian's switch on", checkUnprivilegedClone("1"), "ok", null],
  ["no such switch", checkUnprivilegedClone(null), "ok", null],
  ["AppArmor's restriction", checkAppArmor("1", "/bin/slipway"), "warning", "apparmor_parser"],
  ["AppArmor without it", checkAppArmor("0", "/bin/slipway"), "ok", null],
  ["no AppArmor", checkAppArmor(null, "/bin/slipway"), "ok", null],
  ["ping for all", checkPingGroups("0\t2147483647", [1000]), "ok", null],
  ["ping for nobody", checkPingGroups("1\t0", [0, 1]), "warning", '="0 2147483647"'],
  ["ping by a second group", checkPingGroups("100\t100", [1000, 100]), "ok", null],
  ["ping for others", checkPingGroups("100\t200", [99, 201]), "warning", "ping_group_range"],
  ["no ping range", checkPingGroups(null, [0]), "warning", "ping_group_range"],
  ["no confinement", checkConfinement("NoNewPrivs:\t0\nSeccomp:\t0\n"), "ok", null],
  ["a container", checkConfinement("NoNewPrivs:\t1\nSeccomp:\t2\n"), "warning", "seccomp"],
  ["no new privileges", checkConfinement("NoNewPrivs:\t1\nSeccomp:\t0\n"), "warning", "setuid"],
])("%s", (_case, finding, state, fix) => {
  expect(finding.state).toBe(state);
  if (fix === null) expect(finding.fix).toBeNull();
  else expect(finding.fix).toContain(fix);
});

describe("the report", () => {
  const fine: Finding = { subject: "kernel", state: "ok", found: "6.1", fix: null };
  const broken: Finding = {
    subject: "/dev/net/tun",
    state: "problem",
    found: "is missing",
    fix: "sudo modprobe tun",
  };

  test("is a table with the fix below the problem", () => {
    expect(report([fine, broken]).split("\n")).toEqual([
      "ok       kernel        6.1",
      "problem  /dev/net/tun  is missing",
      "         fix: sudo modprobe tun",
      "Slipway cannot be used here yet.",
      "",
    ]);
  });

  test("ends with the verdict", () => {
    expect(report([fine, { ...broken, state: "warning" }])).toMatch(
      /\nSlipway can be used here.\n$/,
    );
  });
});
