import { copyFileSync, existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Host } from "./host.ts";
import type { Process } from "./process.ts";
import { root } from "./product.ts";

const kernel = join(root, "build/guest-kernel");

/** Whether virtual machines can be booted here: the kernel and busybox are those of x86-64. */
export const hasMachines = process.arch === "x64";

/** A DHCP client's script: sets what the lease says (udhcpc, busybox). */
const LEASE = `#!/bin/sh
[ -n "$ip" ] || exit 0
ip address add $ip/$mask dev $interface
ip link set $interface mtu \${mtu:-1500}
for gateway in $router; do
  ip route add $gateway dev $interface
  ip route add default via $gateway
done
for server in $dns; do echo nameserver $server; done > /etc/resolv.conf
echo "lease $ip mtu $mtu"
`;

const INIT = `#!/bin/sh
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
for module in /modules/*.ko; do insmod $module; done
ip link set lo up
ip link set eth0 up
sh /script
echo "status $?"
poweroff -f
`;

let serial = 0;

/**
 * Boots a small Linux (a Debian kernel, busybox) under qemu, emulated, whose only network card is a stream to `socket`.
 * It runs a shell script, prints its output, and ends.
 */
export async function bootMachine(host: Host, socket: string, script: string): Promise<Process> {
  if (!existsSync(join(kernel, "vmlinuz"))) {
    throw new Error("build/guest-kernel is missing: run scripts/guest-kernel first");
  }
  serial += 1;
  const { directory } = host.stage;
  const inside = join(directory, `machine.${serial}`);
  const files = host.stage.outside(inside);
  const tree = join(files, "root");
  for (const folder of ["bin", "modules", "etc", "proc", "sys", "dev"]) {
    mkdirSync(join(tree, folder), { recursive: true });
  }
  copyFileSync(join(kernel, "vmlinuz"), join(files, "vmlinuz"));
  copyFileSync("/bin/busybox", join(tree, "bin/busybox"));
  for (const module of readdirSync(join(kernel, "modules"))) {
    copyFileSync(join(kernel, "modules", module), join(tree, "modules", module));
  }
  writeFileSync(join(tree, "init"), INIT, { mode: 0o755 });
  writeFileSync(join(tree, "lease"), LEASE, { mode: 0o755 });
  writeFileSync(join(tree, "script"), script);
  await host.root.shell(`
    cd ${inside}/root
    ln -s busybox bin/sh
    find . | busybox cpio -o -H newc > ../initramfs 2>/dev/null
    chmod -R a+rX ${inside}
  `);
  return host.user.spawn([
    ...["qemu-system-x86_64", "-accel", "tcg", "-m", "256", "-nodefaults", "-no-reboot"],
    ...["-display", "none", "-serial", "stdio"],
    ...["-kernel", `${inside}/vmlinuz`, "-initrd", `${inside}/initramfs`],
    ...["-append", "console=ttyS0 quiet panic=-1"],
    ...["-netdev", `stream,id=net,server=off,addr.type=unix,addr.path=${socket}`],
    ...["-device", "virtio-net-pci,netdev=net,romfile="],
  ]);
}
