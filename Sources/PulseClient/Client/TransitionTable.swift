// SPDX-License-Identifier: Apache-2.0
import PulseFlow
import PulseText

/// The table of transitions, as the ABI gives it out.
package enum TransitionTable {
  package static func entry(_ index: Int) -> (from: Int32, event: Literal, to: Int32, meaning: Literal)? {
    guard let row = StateTable.entry(index) else { return nil }
    return (row.from.rawValue, row.event.name, row.to.rawValue, row.meaning)
  }
}
