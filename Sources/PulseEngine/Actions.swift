// SPDX-License-Identifier: Apache-2.0
import PulseFlow
import PulseText

/// When something happens: the parts have no clock. In nanoseconds.
package struct Moment {
  package let now: Int64
  /// Since 1970.
  package let realtime: Int64

  package init(now: Int64, realtime: Int64) {
    self.now = now
    self.realtime = realtime
  }
}

/// What a part waits for.
package enum Deadline {
  /// Losses may be told.
  case losses
  /// Keys may be stale.
  case keys
  /// What waits for the other of two lines has waited long enough.
  case merge
}

package enum Action {
  case log(LogLevel, Sentence)
  /// To be put behind the messages; see `Inbound.emit`.
  case event(Sentence, isKept: Bool)
  /// The events before this one tell of messages in doubt, or of all that were discarded; see `Outbound.noteAnnounced`.
  case told(ofDoubts: Bool)
  /// Calls that wait look again.
  case notify
  /// The descriptor for poll is readable.
  case signal
  /// Both.
  case wake
  /// No data comes over a line: whoever takes messages in the queue's place is to know why, unless the other line brings them.
  case silenced(String)
  /// The part wants to be asked again then.
  case lookAgain(Deadline, at: Int64)
}

/// What the parts of a client have decided and can't do themselves, since they have no clock, no timer, no log and nobody to
/// wake. The client does it, in this order.
package final class Actions {
  private var list: [Action] = []

  package init() {}

  package var isEmpty: Bool { list.isEmpty }

  /// All of them; they are the caller's to do now.
  package func take() -> [Action] {
    var taken: [Action] = []
    swap(&taken, &list)
    return taken
  }

  @inline(never) func log(_ level: LogLevel, _ text: Sentence) { list.append(.log(level, text)) }
  @inline(never) func event(_ event: Sentence, isKept: Bool = true) { list.append(.event(event, isKept: isKept)) }
  @inline(never) func told(ofDoubts: Bool) { list.append(.told(ofDoubts: ofDoubts)) }
  @inline(never) func notify() { list.append(.notify) }
  @inline(never) func signal() { list.append(.signal) }
  @inline(never) func wake() { list.append(.wake) }
  @inline(never) func silenced(_ why: String) { list.append(.silenced(why)) }
  @inline(never) func lookAgain(_ deadline: Deadline, at time: Int64) { list.append(.lookAgain(deadline, at: time)) }
}
