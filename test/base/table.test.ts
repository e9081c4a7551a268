import { describe, expect, test } from "vitest";
import { formatTable } from "../../src/base/table.js";

describe("formatTable", () => {
  const rows = [
    ["8", "tcp", "a"],
    ["12", "udp", ""],
  ];

  test("makes columns as wide as their widest cell, and leaves no blanks at the end of a line", () => {
    expect(formatTable(["ID", "PROTO", "HOST"], rows)).toBe(
      "ID   PROTO   HOST\n8    tcp     a\n12   udp\n",
    );
  });

  test("aligns columns of numbers to the right", () => {
    expect(formatTable(["ID", "PROTO", "HOST"], rows, { gap: 2, rightAligned: [0] })).toBe(
      "ID  PROTO  HOST\n 8  tcp    a\n12  udp\n",
    );
  });
});
