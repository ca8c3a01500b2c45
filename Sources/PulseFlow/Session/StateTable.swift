// SPDX-License-Identifier: Apache-2.0
import PulseText

package struct Transition: Sendable {
  package let from: SessionState
  package let event: SessionEvent
  package let to: SessionState
  package let meaning: Literal

  init(_ from: SessionState, _ event: SessionEvent, _ to: SessionState, _ meaning: Literal) {
    self.from = from
    self.event = event
    self.to = to
    self.meaning = meaning
  }
}

/// The state machine: these transitions and no others. The client, the diagram and the reference all read this table.
package enum StateTable {
  /// The state after an event; nil when the event means nothing in this state and is to be ignored.
  package static func next(_ state: SessionState, _ event: SessionEvent) -> SessionState? {
    var index = 0
    while let row = entry(index) {
      if row.from == state && row.event == event { return row.to }
      index &+= 1
    }
    return nil
  }
}
