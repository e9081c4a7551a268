/* New mounts that are attached nowhere yet (fsopen(2), fsmount(2)). */
#ifndef TUNTAP2_MOUNT_H
#define TUNTAP2_MOUNT_H

struct mount_option {
  const char *key; /* NULL ends a list */
  const char *value;
};

/*
 * Makes a filesystem and a mount of it, without set-id programs, devices or execution. `options` may be NULL;
 * `attributes` are further ones of MOUNT_ATTR_*. Returns a descriptor, or -1 with errno. Async-signal-safe.
 */
int mount_make(const char *type, const struct mount_option *options, unsigned attributes);

#endif
