import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Address } from "../../../src/base/address.js";
import {
  daemonConfig,
  launchWith,
  missingOption,
} from "../../../src/cli/configuration/settings.js";
import type { DaemonSettings } from "../../../src/commandline/daemon-settings.js";

let home: string;
let file: string;

beforeEach(() => {
  home = mkdtempSync(path.join(tmpdir(), "slipway-config-"));
  file = path.join(home, "slipway/config.toml");
  mkdirSync(path.dirname(file));
});

afterEach(() => rmSync(home, { recursive: true }));

/** What a daemon with that configuration file is to do. */
function config(text: string, settings: DaemonSettings = {}) {
  writeFileSync(file, text);
  return daemonConfig({ servesContainers: false, settings }, { XDG_CONFIG_HOME: home });
}

const STORE = 'store = "etcd://192.0.2.10:2379"\nadvertise = "192.0.2.1"\n';

test("no file says nothing", async () => {
  const given = { servesContainers: false, settings: {} };
  const nothing = { servesContainers: false, cluster: null, settings: {}, warnings: [] };
  expect(await daemonConfig(given, { XDG_CONFIG_HOME: home })).toEqual(nothing);
  expect(await daemonConfig(given, { XDG_CONFIG_HOME: `${home}/none` })).toEqual(nothing);
});

test("it says what the options say, by the same names", async () => {
  const found = await config(`
    serve-containers = true
    store = "etcds://192.0.2.10:2379"
    store-ca = "ca.pem"
    store-cert = "/c.pem"
    store-key = "/k.pem"
    store-user = "me"
    store-password = "@word"
    store-prefix = "lab"
    advertise = ["192.0.2.1", "2001:db8::1"]
    listen = "0.0.0.0"
    vxlan-port = 4790
    wireguard-port = 51821
  `);
  const here = path.dirname(file);
  expect(found).toEqual({
    servesContainers: true,
    cluster: {
      store: {
        kind: "etcd",
        endpoints: [{ host: "192.0.2.10", port: 2379 }],
        tls: { ca: `${here}/ca.pem`, identity: { cert: "/c.pem", key: "/k.pem" } },
        user: { name: "me", password: { kind: "file", path: `${here}/word` } },
        prefix: "/lab/",
      },
      advertise: [Address.parse("192.0.2.1"), Address.parse("2001:db8::1")],
      listen: [Address.parse("0.0.0.0")],
      vxlanPort: 4790,
      wireguardPort: 51_821,
    },
    settings: expect.not.objectContaining({ "store-password": expect.anything() }),
    warnings: [],
  });
});

test("options replace what it says by the same name", async () => {
  const settings = { advertise: ["192.0.2.2"], "vxlan-port": ["4791"] };
  const { cluster, settings: shown } = await config(`${STORE}vxlan-port = 4790\n`, settings);
  expect(cluster).toMatchObject({ advertise: [Address.parse("192.0.2.2")], vxlanPort: 4791 });
  expect(shown).toEqual({ store: ["etcd://192.0.2.10:2379"], ...settings });
});

describe("what is wrong is one sentence with the file, and the line or the key", () => {
  test.each([
    ["stoer = 1", 'there is no setting "stoer": there are serve-containers, store, store-ca'],
    ["[store]\nurl = 1", "store must be text"],
    ["store = 5", "store must be text"],
    ["advertise = [1]", "advertise must be text, or a list of texts"],
    ["advertise = []", "advertise must have at least one entry"],
    ['vxlan-port = "4789"', "vxlan-port must be a whole number from 1 to 65535"],
    ["vxlan-port = 0", "vxlan-port must be a whole number from 1 to 65535"],
    ['serve-containers = "yes"', "serve-containers must be true or false"],
    ['store = "etcd://h:x"', 'store "h:x" is not a server: write HOST:PORT'],
    ['advertise = "box"', 'advertise "box" is not an address'],
    ['store = "etcd://h"\nstore = "etcd://i"', "line 2, is not TOML: "],
    ['store = "etcd://h', "line 1, is not TOML: "],
    ['store = "etcd://h"', "--store needs --advertise"],
    ['advertise = "192.0.2.1"', "--advertise needs a store"],
  ])("%s", async (text, sentence) => {
    const error = await config(text).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ name: "UserError", exitStatus: 1 });
    const { message } = error as Error;
    expect(message).toContain(file);
    expect(message).toContain(sentence);
    expect(message).not.toContain("\n");
  });

  test("a syntax error does not repeat a password", async () => {
    const text = 'store-user = "me"\nstore-password = "secret" oops\n';
    const error = await config(text).catch((thrown: unknown) => thrown);
    expect((error as Error).message).toMatch(/line 2, is not TOML: /);
    expect((error as Error).message).not.toContain("secret");
  });

  test("a directory in its place, and a file without measure", async () => {
    await expect(config("#".repeat(1 << 17))).rejects.toThrow(`${file} is larger than 65536 bytes`);
    rmSync(file);
    mkdirSync(file);
    const given = { servesContainers: false, settings: {} };
    await expect(daemonConfig(given, { XDG_CONFIG_HOME: home })).rejects.toThrow(
      `${file} is not a file`,
    );
  });
});

test("an address that other machines cannot reach, and a visible password, are warned of", async () => {
  const { warnings } = await config(STORE, {
    advertise: ["127.0.0.1"],
    "store-user": ["me"],
    "store-password": ["secret"],
  });
  expect(warnings).toEqual([
    expect.stringContaining("--store-password shows the password"),
    expect.stringContaining("--advertise 127.0.0.1 is a loopback address"),
  ]);
  expect(warnings.join()).not.toContain("secret");
});

describe("daemon start", () => {
  test("hands its options on to daemon run, with paths that hold there", () => {
    const settings = { store: ["file:hosts"], advertise: ["192.0.2.1", "2001:db8::1"] };
    expect(launchWith({ servesContainers: true, settings })).toEqual({
      options: [
        "--serve-containers",
        `--store=file:${process.cwd()}/hosts`,
        "--advertise=192.0.2.1",
        "--advertise=2001:db8::1",
      ],
      environment: {},
    });
  });

  test("hands a password on by the environment", () => {
    const settings = { "store-password": ["secret"] };
    expect(launchWith({ servesContainers: false, settings })).toEqual({
      options: ["--store-password=env:SLIPWAY_STORE_PASSWORD"],
      environment: { SLIPWAY_STORE_PASSWORD: "secret" },
    });
  });

  test("names the first option that a running daemon lacks", () => {
    const running = { servesContainers: false, settings: { store: ["etcd://a"] } };
    const lacks = (servesContainers: boolean, settings: DaemonSettings) =>
      missingOption({ servesContainers, settings }, running);
    expect(lacks(false, {})).toBeNull();
    expect(lacks(false, { store: ["etcd://a"], "store-password": ["x"] })).toBeNull();
    expect(lacks(true, {})).toBe("--serve-containers");
    expect(lacks(false, { store: ["etcd://b"] })).toBe("--store etcd://b");
    expect(lacks(false, { advertise: ["192.0.2.1"] })).toBe("--advertise 192.0.2.1");
  });
});
