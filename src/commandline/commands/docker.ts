const END = "end the COMMAND of a run by kill PID, with the PID that slipway ps shows";
const ONCE = "a run is gone when its COMMAND has ended: give slipway run again";
const NO_IMAGES =
  "Slipway has no images: slipway run has the files of this machine; docs/use-with.md has container engines";
const FIGURES = "slipway status and slipway flows show traffic";

/** Commands of docker and podman that Slipway does not have, and what to know or do instead. */
export const dockerCommands: Readonly<Record<string, string>> = {
  exec: "a command joins the network of another by slipway run --network container:NAME -- COMMAND",
  logs: "the output of COMMAND is where you started slipway run; slipway flows lists connections",
  stop: `${END}; slipway daemon stop is for the daemon`,
  kill: END,
  rm: `${END}; slipway network rm and slipway port rm are for networks and ports`,
  start: `${ONCE}; slipway daemon start is for the daemon`,
  restart: ONCE,
  images: NO_IMAGES,
  image: NO_IMAGES,
  pull: NO_IMAGES,
  push: NO_IMAGES,
  build: NO_IMAGES,
  top: "processes are those of this machine: ps and top show them; slipway ps lists members",
  stats: `processes are those of this machine: top shows their use; ${FIGURES}`,
  cp: "COMMAND sees the files of this machine: use cp",
  volume: "COMMAND sees the files of this machine, so there is nothing to mount",
};
