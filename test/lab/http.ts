import { join } from "node:path";
import { served } from "./addresses.ts";
import type { Namespace } from "./namespace.ts";
import type { Stage } from "./stage.ts";

/** nginx at `served.http`, port 80: serves files and accepts uploads (PUT). */
export class HttpServer {
  readonly #root: Namespace;
  readonly #files: string;

  private constructor(root: Namespace, files: string) {
    this.#root = root;
    this.#files = files;
  }

  static async start(root: Namespace, stage: Stage): Promise<HttpServer> {
    const directory = join(stage.directory, "nginx");
    const files = join(directory, "files");
    await root.shell(`
      mkdir -p ${files}
      cat > ${directory}/nginx.conf <<'END'
      ${configuration(directory, files)}
END
    `);
    root.spawn(["nginx", "-e", "stderr", "-c", `${directory}/nginx.conf`]);
    // A delay of 0 would be one that doubles, and a try without a limit might be the last.
    await root.output(
      [
        ...["curl", "--silent", "--retry", "60", "--retry-delay", "1", "--retry-connrefused"],
        ...["--max-time", "10", "--retry-max-time", "60"],
        ...["--output", "/dev/null", `http://${served.http}/`],
      ],
      { timeoutMs: 80_000 },
    );
    return new HttpServer(root, files);
  }

  /** Makes a file of random bytes, served at `/name`; returns its sha256 in hex. */
  async addFile(name: string, bytes: number): Promise<string> {
    await this.#root.output([
      "sh",
      "-euc",
      'head -c "$1" /dev/urandom > "$2"',
      "sh",
      `${bytes}`,
      this.#path(name),
    ]);
    return this.sha256(name);
  }

  /** The sha256, in hex, of a file made here or uploaded. */
  async sha256(name: string): Promise<string> {
    const line = await this.#root.output(["sha256sum", this.#path(name)]);
    return line.slice(0, 64);
  }

  #path(name: string): string {
    return join(this.#files, name);
  }
}

// A single process, so that none is left when it is killed. It keeps its user: a user namespace of a
// single uid has no other.
function configuration(directory: string, files: string): string {
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
    .map((kind) => `${kind}_temp_path ${directory}/${kind};`)
    .join("\n");
  return `
    user root;
    daemon off;
    master_process off;
    error_log stderr;
    pid ${directory}/pid;
    events { worker_connections 1024; }
    http {
      ${temporary}
      access_log off;
      sendfile on;
      client_max_body_size 0;
      server {
        listen ${served.http}:80 backlog=1024;
        listen [${served.http6}]:80 backlog=1024;
        root ${files};
        dav_methods PUT;
      }
    }
  `;
}
