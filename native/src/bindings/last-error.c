/* The last failure of an instance, as JavaScript sees it. */
#include "../call/call.h"
#include "../call/instance.h"
#include "../call/methods.h"

static const char *const step_names[] = {
    [STEP_NONE] = "none",
    [STEP_SOCKETPAIR] = "socketpair",
    [STEP_FORK] = "fork",
    [STEP_AGENT] = "agent",
    [STEP_OPEN_NETNS] = "open-netns",
    [STEP_CHECK_NETNS] = "check-netns",
    [STEP_OPEN_USERNS] = "open-userns",
    [STEP_CHECK_USERNS] = "check-userns",
    [STEP_GET_USERNS] = "get-userns",
    [STEP_SETNS_USER] = "setns-user",
    [STEP_SETNS_NET] = "setns-net",
    [STEP_OPEN_TUN] = "open-tun",
    [STEP_TUNSETIFF] = "tunsetiff",
    [STEP_VNET_HEADER] = "vnet-header",
    [STEP_OFFLOAD] = "offload",
    [STEP_IFINDEX] = "ifindex",
    [STEP_NETLINK] = "netlink",
    [STEP_SOCKET] = "socket",
    [STEP_UNSHARE] = "unshare",
    [STEP_SETGROUPS] = "setgroups",
    [STEP_UID_MAP] = "uid-map",
    [STEP_GID_MAP] = "gid-map",
    [STEP_NEWUIDMAP] = "newuidmap",
    [STEP_NEWGIDMAP] = "newgidmap",
    [STEP_MOUNT] = "mount",
    [STEP_RESOLV_CONF] = "resolv-conf",
    [STEP_HIDE] = "hide",
    [STEP_DIRECTORY] = "directory",
    [STEP_PIDFD_OPEN] = "pidfd-open",
    [STEP_BROKER] = "broker",
    [STEP_KEEPER] = "keeper",
    [STEP_EMPTY_ROOT] = "empty-root",
    [STEP_THREADS] = "threads",
    [STEP_SECCOMP] = "seccomp",
};
_Static_assert(sizeof(step_names) / sizeof(step_names[0]) == STEP_COUNT, "every step has a name");

static void set_string(napi_env env, napi_value object, const char *name, const char *text) {
  napi_value value = NULL;
  napi_create_string_utf8(env, text, NAPI_AUTO_LENGTH, &value);
  napi_set_named_property(env, object, name, value);
}

static napi_value last_error(napi_env env, napi_callback_info info) {
  struct call call = call_begin(env, info, 0);
  const struct failure *failure = &call.instance->failure;
  napi_value object = NULL;
  napi_create_object(env, &object);
  set_string(env, object, "step", step_names[failure->step]);
  set_string(env, object, "path", failure->path);
  return object;
}

const struct method last_error_methods[] = {
    {"lastError", last_error},
    {NULL, NULL},
};
