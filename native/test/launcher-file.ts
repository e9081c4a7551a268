import { fileURLToPath } from "node:url";

const { TUNTAP2_LAUNCHER: launcher, ASAN_OPTIONS: asan, UBSAN_OPTIONS: ubsan } = process.env;

/** The launcher, or another build of it (sanitize.sh). */
export const launcherFile =
  launcher ?? fileURLToPath(new URL("../../bin/slipway", import.meta.url));

/** What such a build is to be started with. What is still allocated at exec, or at an error, is no leak. */
export const sanitizerEnvironment: NodeJS.ProcessEnv =
  asan === undefined
    ? {}
    : { ASAN_OPTIONS: `${asan}:detect_leaks=0:exitcode=99`, UBSAN_OPTIONS: ubsan };
