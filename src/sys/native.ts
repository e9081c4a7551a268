import native from "node-tuntap2";

export { native };
