#include "confine.h"

#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/capability.h>
#include <linux/landlock.h>

/* By ABI; Debian 12's headers have that of Linux 5.19. */
enum {
  FS_RIGHTS_OF_1 = (1 << 13) - 1,
  FS_REFER = 1 << 13,    /* ABI 2 */
  FS_TRUNCATE = 1 << 14, /* ABI 3 */
  FS_IOCTL = 1 << 15,    /* ABI 5 */
  ABI_OF_SCOPES = 6,
  SCOPE_ABSTRACT_UNIX_SOCKET = 1,
};

/* struct landlock_ruleset_attr as of ABI 6. */
struct ruleset_attributes {
  uint64_t handled_access_fs;
  uint64_t handled_access_net;
  uint64_t scoped;
};

capabilities confine_permitted(void) {
  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
  struct __user_cap_data_struct sets[2] = {0};
  if (syscall(SYS_capget, &header, sets) < 0) return 0;
  return sets[0].permitted | (uint64_t)sets[1].permitted << 32;
}

static int raise_ambient(capabilities inherited) {
  for (int number = 0; number < 64; number++) {
    if ((inherited & capability(number)) == 0) continue;
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, number, 0, 0) < 0) return -1;
  }
  return 0;
}

/* What leaves the permitted or the inheritable set leaves the ambient one (capabilities(7)). */
int confine_capabilities(capabilities kept, capabilities inherited) {
  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
  struct __user_cap_data_struct sets[2];
  for (int i = 0; i < 2; i++) {
    uint32_t half = (uint32_t)(kept >> (32 * i));
    sets[i] = (struct __user_cap_data_struct){half, half, (uint32_t)(inherited >> (32 * i))};
  }
  if (syscall(SYS_capset, &header, sets) < 0) return -1;
  return raise_ambient(inherited);
}

void confine_bounding_set(void) {
  for (int number = 0; prctl(PR_CAPBSET_READ, number, 0, 0, 0) >= 0; number++) {
    prctl(PR_CAPBSET_DROP, number, 0, 0, 0);
  }
}

static int landlock_abi(void) {
  return (int)syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
}

int confine_ruleset(void) {
  int abi = landlock_abi();
  if (abi < 0) return -1;
  struct ruleset_attributes attributes = {.handled_access_fs = FS_RIGHTS_OF_1};
  if (abi >= 2) attributes.handled_access_fs |= FS_REFER;
  if (abi >= 3) attributes.handled_access_fs |= FS_TRUNCATE;
  if (abi >= 5) attributes.handled_access_fs |= FS_IOCTL;
  if (abi >= ABI_OF_SCOPES) attributes.scoped = SCOPE_ABSTRACT_UNIX_SOCKET;
  size_t size = abi >= ABI_OF_SCOPES ? sizeof(attributes) : sizeof(attributes.handled_access_fs);
  return (int)syscall(SYS_landlock_create_ruleset, &attributes, size, 0);
}

/* What is not handled can't be allowed: ABI 3 and later have FS_TRUNCATE. */
static uint64_t rights_of(enum confine_right right) {
  switch (right) {
    case CONFINE_READ_FILE:
      return LANDLOCK_ACCESS_FS_READ_FILE;
    case CONFINE_REMOVE_FILE:
      return LANDLOCK_ACCESS_FS_REMOVE_FILE;
    case CONFINE_KEEP_FILES:
      return LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE |
             LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_REMOVE_FILE |
             (landlock_abi() >= 3 ? FS_TRUNCATE : 0);
  }
  return 0;
}

int confine_allow(int ruleset, int directory, enum confine_right right) {
  struct landlock_path_beneath_attr rule = {
      .allowed_access = rights_of(right),
      .parent_fd = directory,
  };
  return (int)syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
}

void confine_memory(void) {
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

int confine_thread(int ruleset) {
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) return -1;
  return ruleset < 0 ? 0 : (int)syscall(SYS_landlock_restrict_self, ruleset, 0);
}
