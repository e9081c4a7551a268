import { connect } from "node:net";
import process from "node:process";

// Connects to UNIX sockets from its own namespaces, and passes the connections to the process that started it.

process.on("message", (path: string) => {
  const socket = connect({ path, allowHalfOpen: true });
  // The recipient reads the data.
  socket.pause();
  socket.once("connect", () => process.send?.("connected", socket));
  socket.once("error", (error) => process.send?.(error.message));
});
process.on("disconnect", () => process.exit());
