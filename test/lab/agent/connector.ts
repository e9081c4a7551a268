import { connect } from "node:net";
import process from "node:process";

// Makes connections to UNIX sockets from where it stands, and gives them to the process that started it.

process.on("message", (path: string) => {
  const socket = connect({ path, allowHalfOpen: true });
  // What comes is for the one who gets it.
  socket.pause();
  socket.once("connect", () => process.send?.("connected", socket));
  socket.once("error", (error) => process.send?.(error.message));
});
process.on("disconnect", () => process.exit());
