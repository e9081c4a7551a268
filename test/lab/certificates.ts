import type { Namespace } from "./namespace.ts";

/** Files of a certificate, in PEM. */
export interface CertificateFiles {
  readonly cert: string;
  readonly key: string;
}

/** What a certificate is good for (RFC 5280 §4.2.1.12). */
export type Purpose = "serverAuth" | "clientAuth";

/** An authority of a test's own, which signs certificates that hold for a day. */
export class Authority {
  /** Its certificate. */
  readonly file: string;
  readonly #namespace: Namespace;
  readonly #directory: string;

  private constructor(namespace: Namespace, directory: string) {
    this.#namespace = namespace;
    this.#directory = directory;
    this.file = `${directory}/ca.pem`;
  }

  /** @param directory is made; everything goes there */
  static async create(namespace: Namespace, directory: string): Promise<Authority> {
    await namespace.shell(`
      mkdir -p ${directory}
      cd ${directory}
      ${newKey("ca")}
      openssl req -x509 -key ca-key.pem -out ca.pem -days 2 -subj '/CN=authority of a test' 2> ca.log
    `);
    return new Authority(namespace, directory);
  }

  /**
   * @param name of its files
   * @param names that it is good for: addresses and DNS names
   * @param subject default: no CommonName, by which etcd would take the client for a user
   */
  async sign(
    name: string,
    names: readonly string[],
    purposes: readonly Purpose[],
    subject = "/O=slipway",
  ): Promise<CertificateFiles> {
    const alternatives = names.map((each) => (isAddress(each) ? `IP:${each}` : `DNS:${each}`));
    const extension = alternatives.length > 0 ? `subjectAltName=${alternatives.join(",")}` : "";
    await this.#namespace.shell(`
      cd ${this.#directory}
      ${newKey(name)}
      openssl req -new -key ${name}-key.pem -subj '${subject}' -out ${name}.csr 2> ${name}.log
      printf '%s\\n' 'extendedKeyUsage=${purposes.join(",")}' '${extension}' > ${name}.ext
      openssl x509 -req -in ${name}.csr -CA ca.pem -CAkey ca-key.pem -CAcreateserial \
        -days 1 -extfile ${name}.ext -out ${name}.pem 2> ${name}.log
    `);
    const path = `${this.#directory}/${name}`;
    return { cert: `${path}.pem`, key: `${path}-key.pem` };
  }
}

function newKey(name: string): string {
  return `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:prime256v1 -out ${name}-key.pem 2> ${name}.log`;
}

function isAddress(name: string): boolean {
  return name.includes(":") || /^[\d.]+$/.test(name);
}
