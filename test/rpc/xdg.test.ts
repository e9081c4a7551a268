import { existsSync, readdirSync, readFileSync } from "node:fs";
import { homedir, tmpdir, userInfo } from "node:os";
import { describe, expect, it, vi } from "vitest";
import {
  apiDirectory,
  runtimeDirectories,
  runtimeDirectory,
  stateDirectory,
} from "../../src/rpc/xdg.js";

/** Of no user: nobody has logged in with it. */
const UID = 4_294_000_000;
const [loggedIn] = existsSync("/run/user") ? readdirSync("/run/user") : [];
const isOutside = /^\s*0\s+0\s+4294967295\s*$/.test(readFileSync("/proc/self/uid_map", "utf8"));
const given = { XDG_RUNTIME_DIR: "/given" };

describe("runtimeDirectory", () => {
  it("is below XDG_RUNTIME_DIR", () => {
    expect(runtimeDirectory(given, UID)).toEqual({ base: "/given", own: "/given/slipway" });
  });

  it.runIf(loggedIn !== undefined)("is below that of the login", () => {
    const base = `/run/user/${loggedIn}`;
    expect(runtimeDirectory({}, Number(loggedIn))).toEqual({ base, own: `${base}/slipway` });
  });

  it.each([undefined, "", "relative"])("is the user's own without, as with %j", (text) => {
    const own = `${tmpdir()}/slipway-${UID}`;
    expect(runtimeDirectory({ XDG_RUNTIME_DIR: text }, UID)).toEqual({ base: own, own });
  });

  it("ignores a directory for temporary files that is relative", () => {
    vi.stubEnv("TMPDIR", "relative");
    const own = `/tmp/slipway-${UID}`;
    expect(runtimeDirectory({}, UID)).toEqual({ base: own, own });
    vi.unstubAllEnvs();
  });

  it.runIf(isOutside)("is that of the process's user if none is named", () => {
    expect(runtimeDirectory({})).toEqual(runtimeDirectory({}, process.geteuid?.()));
  });
});

describe("apiDirectory", () => {
  it.each([0, UID])("is below XDG_RUNTIME_DIR, of user %i", (user) => {
    expect(apiDirectory(given, user)).toBe("/given/slipway");
  });

  it.each([undefined, "relative"])("is /run/slipway for root without, as with %j", (text) => {
    expect(apiDirectory({ XDG_RUNTIME_DIR: text }, 0)).toBe("/run/slipway");
  });

  it("is nowhere for a user who has no directory", () => {
    expect(apiDirectory({}, UID)).toBeNull();
  });
});

describe("runtimeDirectories", () => {
  it.each([
    [{}, UID],
    [{}, 0],
    [given, UID],
    [given, 0],
  ])("has all others: %j of user %i", (environment, user) => {
    const all = runtimeDirectories(environment, user);
    expect(all).toContain(runtimeDirectory(environment, user).own);
    expect(all).toContain(apiDirectory(environment, user) ?? `/run/user/${user}/slipway`);
    expect(all).toContain(`/tmp/slipway-${user}`);
    expect(new Set(all).size).toBe(all.length);
  });

  it("does not have root's for another user", () => {
    expect(runtimeDirectories({}, UID)).not.toContain("/run/slipway");
  });
});

describe("stateDirectory", () => {
  it("is below XDG_STATE_HOME", () => {
    expect(stateDirectory({ XDG_STATE_HOME: "/given" })).toBe("/given/slipway");
  });

  it.each([undefined, "", "relative"])("is below ~/.local/state without, as with %j", (text) => {
    expect(stateDirectory({ XDG_STATE_HOME: text })).toBe(`${homedir()}/.local/state/slipway`);
  });

  it.each(["", "relative"])("is in the account's home if HOME is %j", (text) => {
    vi.stubEnv("HOME", text);
    expect(stateDirectory({})).toBe(`${userInfo().homedir}/.local/state/slipway`);
    vi.unstubAllEnvs();
  });
});
