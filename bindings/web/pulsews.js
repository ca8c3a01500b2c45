// SPDX-License-Identifier: Apache-2.0
// PulseWS for the browser: docs/WEB.md.

export { PulseWS } from "./src/client.js";
export { STATES, VERSION } from "./src/contract.js";
export { PulseWSError } from "./src/errors.js";
export { parseExact } from "./src/exact.js";
