/** One address of an etcd. `host`: an IPv4 address, an IPv6 address without brackets, or a name. */
export interface StoreEndpoint {
  readonly host: string;
  readonly port: number;
}

/** A secret: the word itself, what a file begins with up to its first newline, or a variable of the environment. */
export type Secret =
  | { readonly kind: "word"; readonly word: string }
  | { readonly kind: "file"; readonly path: string }
  | { readonly kind: "env"; readonly name: string };

/** Paths of PEM files. `ca`: null for the authorities that Node knows. `identity`: our own certificate. */
export interface StoreTls {
  readonly ca: string | null;
  readonly identity: { readonly cert: string; readonly key: string } | null;
}

/** An etcd. */
export interface EtcdOptions {
  readonly kind: "etcd";
  /** At least one. They are of one cluster, and any of them will do. */
  readonly endpoints: readonly StoreEndpoint[];
  /** null: `etcd://`, in the clear. */
  readonly tls: StoreTls | null;
  readonly user: { readonly name: string; readonly password: Secret } | null;
  /** What all keys begin with: it begins and ends with "/". */
  readonly prefix: string;
}

/** Where what hosts share is: an etcd, or a file that lists it. */
export type StoreOptions = EtcdOptions | { readonly kind: "file"; readonly path: string };

/** EtcdOptions.prefix, unless the user says otherwise. */
export const DEFAULT_STORE_PREFIX = "/slipway/v1/";
