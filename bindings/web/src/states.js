// SPDX-License-Identifier: Apache-2.0
// The five states, as docs/STATES.md has them.

import { TRANSITIONS } from "./contract.js";

/** Which state follows which event. What is not in the table does nothing. */
export class Machine {
  constructor() {
    this.state = "disconnected";
  }

  can(event) {
    return Object.hasOwn(TRANSITIONS[this.state], event);
  }

  /** `{ from, to, trigger }`, or null where the event does nothing. */
  fire(trigger) {
    if (!this.can(trigger)) return null;
    const from = this.state;
    this.state = TRANSITIONS[from][trigger];
    return { from, to: this.state, trigger };
  }
}
