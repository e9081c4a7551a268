/* Held children as JavaScript sees them: the parent's side of held/held.h. */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../agent/targets.h"
#include "../call/call.h"
#include "../call/failure.h"
#include "../call/instance.h"
#include "../call/methods.h"
#include "../held/held.h"
#include "../os/process.h"
#include "spawn-options.h"

/* Descriptors that are no handles yet. */
struct held {
  pid_t pid;
  pid_t reaper; /* or the sweeper; 0: there is neither */
  int reaper_signal; /* by which it ends what is left of COMMAND's, and itself */
  int pidfd;
  int reaper_pidfd;
  int control;
  int reaper_error; /* why there is none though one was wanted, or 0 */
};

static const char *subject_of(enum step step, const struct held_plan *plan) {
  if (plan->joined_netns != NULL) return targets_subject(step, "", plan->joined_netns);
  switch (step) {
    case STEP_SETGROUPS:
      return "/proc/self/setgroups";
    case STEP_UID_MAP:
      return "/proc/self/uid_map";
    case STEP_GID_MAP:
      return "/proc/self/gid_map";
    case STEP_NEWUIDMAP:
      return "/etc/subuid";
    case STEP_NEWGIDMAP:
      return "/etc/subgid";
    case STEP_RESOLV_CONF:
      return "/etc/resolv.conf";
    case STEP_DIRECTORY:
      return plan->directory;
    default:
      return "";
  }
}

/* From now on we wait for these two; the process that forked them ends. */
static void adopt(struct held *held, const struct held_report *report) {
  if (report->command > 0) {
    process_reap(held->pid);
    held->pid = report->command;
  }
  held->reaper_error = report->reaper_error;
  if (report->reaper > 0 && report->reaper_error < 0) process_reap(report->reaper);
  bool has_sweeper = report->sweeper > 0;
  held->reaper = has_sweeper ? report->sweeper : report->reaper_error < 0 ? 0 : report->reaper;
  held->reaper_signal = has_sweeper ? SIGTERM : SIGKILL;
}

static int wait_until_ready(struct failure *failure, const struct held_plan *plan, struct held *held) {
  struct held_report report;
  if (process_recv(held->control, &report, sizeof(report)) != sizeof(report)) {
    return failure_set(failure, STEP_FORK, "", -ECHILD);
  }
  adopt(held, &report);
  if (report.error == 0) return 0;
  enum step step = report.step < STEP_COUNT ? (enum step)report.step : STEP_FORK;
  return failure_set(failure, step, subject_of(step, plan), report.error);
}

static int open_pidfd(struct failure *failure, pid_t pid, int *pidfd) {
  *pidfd = process_open(pid);
  return *pidfd < 0 ? failure_set(failure, STEP_PIDFD_OPEN, "", -errno) : 0;
}

static int fork_held(struct instance *instance, const struct held_plan *plan, struct held *held) {
  int pair[2];
  if (process_socketpair(pair) < 0) {
    return failure_set(&instance->failure, STEP_SOCKETPAIR, "", -errno);
  }
  held->pid = process_fork();
  if (held->pid == 0) {
    close(pair[0]);
    handles_close_all(&instance->handles);
    held_run(plan, pair[1]);
  }
  int error = -errno;
  close(pair[1]);
  held->control = pair[0];
  if (held->pid > 0) return 0;
  close(pair[0]);
  return failure_set(&instance->failure, STEP_FORK, "", error);
}

/* Closes the control socket: the child ends on that, and the reaper after it. */
static void abandon(const struct held *held) {
  shutdown(held->control, SHUT_RDWR);
  close(held->control);
  if (held->pidfd >= 0) close(held->pidfd);
  process_reap(held->pid);
  if (held->reaper > 0) process_reap(held->reaper);
}

static int ask_broker(struct instance *instance, const struct held_plan *plan, struct held *held) {
  if (instance->broker.is_keeper) return failure_set(&instance->failure, STEP_BROKER, "", -EPERM);
  int error = broker_spawn(&instance->broker, plan, &held->pid, &held->control);
  return error < 0 ? failure_set(&instance->failure, STEP_FORK, "", error) : 0;
}

static int spawn(struct instance *instance, const struct held_plan *plan, struct held *held) {
  /* The broker does not enter another process's namespaces for a command. */
  bool joins = plan->joined > 0 || plan->joined_netns != NULL;
  bool is_ours = instance->broker.socket < 0 || joins;
  int error = is_ours ? fork_held(instance, plan, held) : ask_broker(instance, plan, held);
  if (error < 0) return error;
  error = wait_until_ready(&instance->failure, plan, held);
  if (error == 0) error = open_pidfd(&instance->failure, held->pid, &held->pidfd);
  if (error == 0 && held->reaper > 0) {
    error = open_pidfd(&instance->failure, held->reaper, &held->reaper_pidfd);
  }
  if (error < 0) abandon(held);
  return error;
}

static napi_value held_object(struct call *call, const struct held *held) {
  struct handles *handles = &call->instance->handles;
  napi_value object = NULL;
  napi_create_object(call->env, &object);
  call_set_number(call, object, "pid", held->pid);
  call_set_number(call, object, "pidfd", handles_issue(handles, held->pidfd, HANDLE_PIDFD));
  call_set_number(call, object, "control", handles_issue(handles, held->control, HANDLE_CONTROL));
  int reaper = held->reaper_pidfd;
  if (reaper >= 0) call_set_number(call, object, "reaper", handles_issue(handles, reaper, HANDLE_PIDFD));
  call_set_number(call, object, "reaperSignal", held->reaper_signal);
  call_set_number(call, object, "reaperError", held->reaper_error);
  return object;
}

static napi_value spawn_held(napi_env env, napi_callback_info info) {
  struct call call = call_begin(env, info, 1);
  struct held_plan plan = {0};
  struct held held = {.pidfd = -1, .reaper_pidfd = -1};
  spawn_options_read(&call, &plan);
  if (call_ok(&call)) call_fail(&call, spawn(call.instance, &plan, &held));
  spawn_options_free(&plan);
  return call_ok(&call) ? held_object(&call, &held) : call_end(&call, 0);
}

static napi_value replace_process(napi_env env, napi_callback_info info) {
  struct call call = call_begin(env, info, 1);
  struct held_plan plan = {0};
  spawn_options_read(&call, &plan);
  if (call_ok(&call)) call_fail(&call, held_replace(&plan));
  spawn_options_free(&plan);
  return call_end(&call, 0);
}

/* exec closes the socket: its end means success. */
static int release(int control) {
  struct held_report report = {0};
  if (process_send(control, "", 1) < 0) return -errno;
  process_recv(control, &report, sizeof(report));
  return report.error;
}

static napi_value release_spawned(napi_env env, napi_callback_info info) {
  struct call call = call_begin(env, info, 1);
  int control = call_handle(&call, 0, HANDLE_CONTROL);
  if (!call_ok(&call)) return call_end(&call, 0);
  int result = release(control);
  handles_forget(&call.instance->handles, control);
  close(control);
  return call_end(&call, result);
}

const struct method spawn_methods[] = {
    {"spawnHeld", spawn_held},
    {"releaseSpawned", release_spawned},
    {"replaceProcess", replace_process},
    {NULL, NULL},
};
