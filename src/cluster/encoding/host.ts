import * as v from "valibot";
import { hostnameOfMember } from "../../config/names.js";
import { below, HOSTS } from "../keys.js";
import type { HostRecord } from "../records.js";
import {
  areOfTwoFamilies,
  decode,
  id,
  Nonsense,
  nameOf,
  port,
  publicKey,
  unicast,
} from "./values.js";

const schema = v.pipe(
  v.object({
    name: nameOf("hostname"),
    addresses: v.pipe(
      v.array(unicast),
      v.minLength(1),
      v.maxLength(2),
      v.check((all) => areOfTwoFamilies(all)),
    ),
    vxlanPort: port,
    wireguardPort: port,
    publicKey,
    version: v.pipe(v.string(), v.regex(/^[\x21-\x7e]{1,64}$/)),
  }),
  v.check(({ vxlanPort, wireguardPort }) => vxlanPort !== wireguardPort),
);

/** A hostname that would not be read back becomes a part of the id. */
export function encodeHost({ id, ...host }: HostRecord): string {
  const addresses = host.addresses.map(String);
  return JSON.stringify({ ...host, name: hostnameOfMember(host.name, id), addresses });
}

/** @param key hosts/ID */
export function decodeHost(key: string, value: string): HostRecord | Nonsense {
  const host = below(HOSTS, key);
  if (!v.is(id, host)) return new Nonsense("its key has no id");
  const decoded = decode(schema, value);
  return decoded instanceof Nonsense ? decoded : { id: host, ...decoded };
}
