import { expect, test } from "vitest";
import { Subject } from "./subject.js";

test("an agent of somebody else holds us up only once, also by a socket that takes nothing more", async () => {
  const subject = Subject.start();
  try {
    const result = await subject.run(({ native, memory, errno }) => {
      const { mem, bytes } = memory(256);
      const name = new TextEncoder().encode(`\0adopted-${process.pid}`);
      bytes[0] = 1;
      bytes.set(name, 2);
      const listener = native.socket(1, 5, 0);
      native.bind(listener, mem, 0, 2 + name.length);
      native.listen(listener, 1);
      const passed = native.socket(1, 5, 0);
      native.connect(passed, mem, 0, 2 + name.length);
      while (native.sendPassing(passed, new Uint8Array(2000), null) >= 0);
      const agent = native.adoptAgent(passed);
      const first = native.agentIfindex(agent, "lo");
      return { agent, first, second: native.agentIfindex(agent, "lo"), EPIPE: errno.EPIPE };
    });
    const { agent, first, second, EPIPE } = result;
    expect({ agent, first, second }).toEqual({ agent: 0, first: -EPIPE, second: -EPIPE });
  } finally {
    subject.signal("SIGKILL");
  }
});
