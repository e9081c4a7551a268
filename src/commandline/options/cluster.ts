import { DEFAULT_VXLAN_PORT, DEFAULT_WIREGUARD_PORT } from "../../config/cluster-config.js";
import { DEFAULT_STORE_PREFIX } from "../../config/store-options.js";
import {
  checkSetting,
  type DaemonSettings,
  SETTING_NAMES,
  type SettingName,
} from "../daemon-settings.js";
import { type Option, repeated } from "../parsing/option.js";

/** Options by which the daemon takes part in a cluster. The configuration file has them by the same names. */
export const clusterOptions: Readonly<Record<SettingName, Option<string[]>>> = {
  store: setting(
    "store",
    "<url>",
    "what hosts share networks by: etcd://HOST:PORT,…, etcds://… with TLS, or file:PATH",
  ),
  "store-ca": setting(
    "store-ca",
    "<file>",
    "authorities that sign its certificate; by default the system's",
  ),
  "store-cert": setting("store-cert", "<file>", "our certificate, as its client"),
  "store-key": setting("store-key", "<file>", "the key of our certificate"),
  "store-user": setting("store-user", "<name>", "our user there"),
  "store-password": setting(
    "store-password",
    "<password>",
    "the user's password, or where it is: @FILE or env:NAME",
  ),
  "store-prefix": setting(
    "store-prefix",
    "<prefix>",
    `of our keys there, one for each cluster (default: ${DEFAULT_STORE_PREFIX})`,
  ),
  advertise: setting(
    "advertise",
    "<address>",
    "address of this host that other hosts reach, one per family; repeatable",
  ),
  listen: setting(
    "listen",
    "<address>",
    "where tunnels arrive, one per family; by default at every address; repeatable",
  ),
  "vxlan-port": setting(
    "vxlan-port",
    "<port>",
    `UDP port of networks that are not encrypted (default: ${DEFAULT_VXLAN_PORT})`,
  ),
  "wireguard-port": setting(
    "wireguard-port",
    "<port>",
    `UDP port of encrypted networks (default: ${DEFAULT_WIREGUARD_PORT})`,
  ),
};

/** Settings that may have several texts; of others the last one counts. */
const LISTS: readonly SettingName[] = ["advertise", "listen"];

/** The text stays as it is: the daemon that it is for reads it again. */
function setting(name: SettingName, value: string, help: string): Option<string[]> {
  return repeated(`--${name} ${value}`, help, (text, option) => {
    checkSetting(name, text, option);
    return text;
  });
}

/** @param values of clusterOptions */
export function settingsOf(
  values: Readonly<Record<SettingName, readonly string[]>>,
): DaemonSettings {
  const given = SETTING_NAMES.filter((name) => values[name].length > 0);
  return Object.fromEntries(
    given.map((name) => [name, LISTS.includes(name) ? values[name] : values[name].slice(-1)]),
  );
}
