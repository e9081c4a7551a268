import type { Account } from "../../lab/account.ts";
import { served } from "../../lab/addresses.ts";
import type { Lab } from "../../lab/lab.ts";

/** Name of the image that {@link makeImage} is for. */
export const image = "localhost/box";

/**
 * Makes the root file system of a container in the account's home, as `image/`: busybox; `fetch`, which
 * prints the sha256 of a file; and a CGI program that tells its client which address it sees.
 */
export async function makeImage(account: Account): Promise<void> {
  await account.user.shell(`
    mkdir -p image/bin image/tmp image/www/cgi-bin
    cp /usr/bin/busybox image/bin/
    for applet in $(busybox --list); do
      [ -e image/bin/$applet ] || ln -s busybox image/bin/$applet
    done
    cat > image/www/cgi-bin/who <<'END'
#!/bin/sh
echo Content-Type: text/plain
echo
echo "$REMOTE_ADDR"
END
    cat > image/bin/fetch <<'END'
#!/bin/sh
# The wget of a statically linked busybox dies in the C library's look-up of services. nginx takes
# the end of nc's input for the end of the client, so it must not come: we hold the pipe ourselves.
rm -f /tmp/request.$$; mkfifo /tmp/request.$$
exec 3<>/tmp/request.$$
printf 'GET %s HTTP/1.0\r\n\r\n' "$2" >&3
nc -w 10 "$1" 80 <&3 | {
  while read -r header && [ \${#header} -gt 1 ]; do :; done
  sha256sum
} | cut -c-64
END
    chmod 1777 image/tmp
    chmod 0755 image/www/cgi-bin/who image/bin/fetch
  `);
}

/** A web server with that program; append to an engine's command line. */
export const serving = ["httpd", "-f", "-p", "80", "-h", "/www"] as const;

/** A file at the world's web server. */
const fileName = "file";
const fileBytes = 300_000;

const worldFiles = new WeakMap<Lab, Promise<string>>();

/** Makes the world's file, once; returns its sha256. */
export function worldFile(lab: Lab): Promise<string> {
  const made = worldFiles.get(lab) ?? lab.world.http.addFile(fileName, fileBytes);
  worldFiles.set(lab, made);
  return made;
}

/** Fetches the world's file in a container, by IPv4 or IPv6, and prints its sha256. */
export const fetch4 = `fetch ${served.http} /${fileName}`;
export const fetch6 = `fetch ${served.http6} /${fileName}`;
