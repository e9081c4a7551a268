/*
 * Calls that neither Node, V8, libuv, the C library nor we make once a filter is there. io_uring_setup(2)
 * is not among them: libuv makes it for each loop, and the launcher's filter answers ENOSYS.
 *
 * Other processes, and what they have:
 * #syscalls never: ptrace process_vm_readv process_vm_writev process_madvise pidfd_getfd kcmp
 * Other programs and namespaces:
 * #syscalls never: execve execveat setns unshare chroot pivot_root mount umount2
 * #syscalls never: fsopen fsconfig fsmount fspick move_mount open_tree mount_setattr
 * Files by no path, keys, and parts of the kernel that are known for their bugs:
 * #syscalls never: open_by_handle_at name_to_handle_at add_key request_key keyctl
 * #syscalls never: bpf perf_event_open userfaultfd fanotify_init quotactl acct lookup_dcookie
 * Other users and rights:
 * #syscalls never: setuid setgid setreuid setregid setresuid setresgid setfsuid setfsgid setgroups
 * The machine:
 * #syscalls never: init_module finit_module delete_module kexec_load kexec_file_load reboot
 * #syscalls never: swapon swapoff iopl ioperm modify_ldt personality vhangup syslog
 * #syscalls never: settimeofday clock_settime adjtimex clock_adjtime sethostname setdomainname
 */
#include "filter.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/if_tun.h>
#include <linux/netlink.h>
#include <linux/seccomp.h>

#if defined(__x86_64__)
#define OWN_ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define OWN_ARCHITECTURE AUDIT_ARCH_AARCH64
#else
#error "which AUDIT_ARCH_ is this machine's?"
#endif

/* Masks that conditions name. The type of a socket has flags beside it (include/linux/net.h). */
#define SOCK_TYPE 0xf
/* The flags that an open() which changes nothing does not have; O_TMPFILE has a bit of its own. */
#define OPEN_CHANGES (O_ACCMODE | O_CREAT | O_TRUNC | 020000000)

/* Of a thread as the C library makes it (sysdeps/unix/sysv/linux: pthread_create.c). */
#define THREAD_FLAGS                                                                             \
  (CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SYSVSEM | CLONE_SIGHAND | CLONE_THREAD |             \
   CLONE_SETTLS | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID)

/* x32 calls come with the architecture of x86-64 and this bit. */
#define X32_BIT 0x40000000u

enum { CONDITIONS_MAX = 4 };

struct condition {
  uint8_t argument; /* 0..5; the lower half is compared, as all of them are ints */
  bool own_pid;     /* instead of `value` */
  uint32_t mask;
  uint32_t value;
};

struct row {
  unsigned profile;
  int number;
  unsigned count;
  struct condition conditions[CONDITIONS_MAX];
};

static const struct row rows[] = {
#include "../../build/syscalls.inc"
};
enum {
  ROW_COUNT = sizeof(rows) / sizeof(rows[0]),
  ROW_LENGTH = 3 + 3 * CONDITIONS_MAX,
  ARCHITECTURE_LENGTH = 6,
  CLONE3_LENGTH = 3,
};

struct program {
  struct sock_filter *code;
  unsigned short length;
  bool is_broken; /* a jump was too far for its byte */
};

static void add(struct program *program, struct sock_filter instruction) {
  program->code[program->length++] = instruction;
}

static void load(struct program *program, size_t offset) {
  add(program, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset));
}

/* Continues if A is `value`, else skips `otherwise` instructions. */
static void expect(struct program *program, uint32_t value, unsigned otherwise) {
  if (otherwise > UINT8_MAX) program->is_broken = true;
  add(program,
      (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, (uint8_t)otherwise));
}

static void answer(struct program *program, uint32_t action) {
  add(program, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, action));
}

static size_t lower_half(unsigned argument) {
#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the lower half of an argument lies elsewhere"
#endif
  return offsetof(struct seccomp_data, args) + argument * sizeof(uint64_t);
}

/* A holds the number of the call, and keeps it. */
static void add_unconditional(struct program *program, const struct row *row, uint32_t action) {
  expect(program, (uint32_t)row->number, 1);
  answer(program, action);
}

/* Allows the call if all conditions hold, else continues behind. */
static void add_alternative(struct program *program, const struct row *row) {
  for (unsigned i = 0; i < row->count; i++) {
    const struct condition *condition = &row->conditions[i];
    load(program, lower_half(condition->argument));
    add(program, (struct sock_filter)BPF_STMT(BPF_ALU | BPF_AND | BPF_K, condition->mask));
    unsigned rest = 3 * (row->count - i - 1);
    expect(program, condition->own_pid ? (uint32_t)getpid() : condition->value, rest + 1);
  }
  answer(program, SECCOMP_RET_ALLOW);
}

static bool is_conditional(const struct row *row, unsigned profiles) {
  return (row->profile & profiles) != 0 && row->count > 0;
}

/* All alternatives of the call of `rows[first]`, behind one comparison of its number. */
static void add_group(struct program *program, size_t first, unsigned profiles) {
  unsigned length = 1;
  for (size_t i = first; i < ROW_COUNT; i++) {
    bool same = rows[i].number == rows[first].number && is_conditional(&rows[i], profiles);
    if (same) length += 3 * rows[i].count + 1;
  }
  expect(program, (uint32_t)rows[first].number, length);
  for (size_t i = first; i < ROW_COUNT; i++) {
    bool same = rows[i].number == rows[first].number && is_conditional(&rows[i], profiles);
    if (same) add_alternative(program, &rows[i]);
  }
  answer(program, SECCOMP_RET_ERRNO | EPERM);
}

static bool is_first_of_group(size_t index, unsigned profiles) {
  for (size_t i = 0; i < index; i++) {
    if (rows[i].number == rows[index].number && is_conditional(&rows[i], profiles)) return false;
  }
  return true;
}

/*
 * Calls without conditions come first; any other falls through with its number still in A. For each number the
 * kernel finds out once whether it is allowed whatever its arguments, by emulating the filter, and then runs no
 * filter for it (Linux 5.11): the filter should be short.
 */
static void add_rows(struct program *program, unsigned profiles) {
  load(program, offsetof(struct seccomp_data, nr));
  for (size_t i = 0; i < ROW_COUNT; i++) {
    if ((rows[i].profile & profiles) != 0 && rows[i].count == 0) {
      add_unconditional(program, &rows[i], SECCOMP_RET_ALLOW);
    }
  }
  for (size_t i = 0; i < ROW_COUNT; i++) {
    if (is_conditional(&rows[i], profiles) && is_first_of_group(i, profiles)) {
      add_group(program, i, profiles);
    }
  }
  for (size_t i = 0; i < ROW_COUNT; i++) {
    if (rows[i].profile == FILTER_NEVER) {
      add_unconditional(program, &rows[i], SECCOMP_RET_KILL_PROCESS);
    }
  }
}

static void add_architecture(struct program *program) {
  load(program, offsetof(struct seccomp_data, arch));
  add(program, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, OWN_ARCHITECTURE, 1, 0));
  answer(program, SECCOMP_RET_KILL_PROCESS);
#ifdef __x86_64__
  load(program, offsetof(struct seccomp_data, nr));
  add(program, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, X32_BIT, 0, 1));
  answer(program, SECCOMP_RET_KILL_PROCESS);
#endif
}

/* The flags of clone3 are in memory, which a filter cannot read. On ENOSYS the C library uses clone. */
static void add_clone3(struct program *program) {
  load(program, offsetof(struct seccomp_data, nr));
  expect(program, SYS_clone3, 1);
  answer(program, SECCOMP_RET_ERRNO | ENOSYS);
}

static int set_filter(const struct program *program, bool all_threads) {
  struct sock_fprog filter = {.len = program->length, .filter = program->code};
  unsigned flags = all_threads ? SECCOMP_FILTER_FLAG_TSYNC : 0;
  long result = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &filter);
  if (result == 0) return 0;
  /* With TSYNC: the id of a thread that has a filter which is not an ancestor's of ours. */
  return result > 0 ? -ESRCH : -errno;
}

int filter_load(unsigned profiles, bool all_threads) {
  struct sock_filter code[ROW_COUNT * ROW_LENGTH + ARCHITECTURE_LENGTH + CLONE3_LENGTH + 2];
  struct program program = {.code = code};
  add_architecture(&program);
  if ((profiles & FILTER_DAEMON) != 0) add_clone3(&program);
  add_rows(&program, profiles);
  answer(&program, SECCOMP_RET_ERRNO | EPERM);
  return program.is_broken ? -E2BIG : set_filter(&program, all_threads);
}
