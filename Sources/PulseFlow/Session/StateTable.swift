// SPDX-License-Identifier: Apache-2.0
import PulseText

/// What the application sees of a connection. The values are those of the ABI.
package enum SessionState: Int32, Sendable {
  case disconnected = 0
  case connecting, connected, reconnecting, error

  package var name: Literal {
    switch self {
    case .disconnected: "disconnected"
    case .connecting: "connecting"
    case .connected: "connected"
    case .reconnecting: "reconnecting"
    case .error: "error"
    }
  }
}

/// What may change a state.
package enum SessionEvent: Int32, Sendable {
  case start = 0
  case attempt, opened, retry, giveUp, reconnect, disconnect

  package var name: Literal {
    switch self {
    case .start: "start"
    case .attempt: "attempt"
    case .opened: "opened"
    case .retry: "retry"
    case .giveUp: "give_up"
    case .reconnect: "reconnect"
    case .disconnect: "disconnect"
    }
  }
}

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
  /// Every legal transition, in reading order; nil behind the last.
  package static func entry(_ index: Int) -> Transition? {
    switch index {
    case 0: Transition(.disconnected, .start, .connecting, "the client is started")
    case 1: Transition(.disconnected, .reconnect, .connecting, "the application asks for a connection")
    case 2: Transition(.connecting, .opened, .connected, "the handshake is done")
    case 3: Transition(.connecting, .retry, .reconnecting, "the first attempt failed; another follows")
    case 4: Transition(.connecting, .giveUp, .error, "the first attempt failed and there will be no other")
    case 5: Transition(.connecting, .disconnect, .disconnected, "the application ends the attempt")
    case 6: Transition(.connected, .retry, .reconnecting, "the connection is lost; an attempt follows")
    case 7: Transition(.connected, .giveUp, .error, "the connection is lost and there will be no attempt")
    case 8: Transition(.connected, .reconnect, .reconnecting, "the application asks for a new connection")
    case 9: Transition(.connected, .disconnect, .disconnected, "the application closes the connection")
    case 10: Transition(.reconnecting, .attempt, .reconnecting, "the wait is over; an attempt begins")
    case 11: Transition(.reconnecting, .opened, .connected, "the handshake is done")
    case 12: Transition(.reconnecting, .retry, .reconnecting, "the attempt failed; another follows")
    case 13: Transition(.reconnecting, .giveUp, .error, "the limit is reached, or the failure is final")
    case 14: Transition(.reconnecting, .reconnect, .reconnecting, "the application wants an attempt at once")
    case 15: Transition(.reconnecting, .disconnect, .disconnected, "the application ends the trying")
    case 16: Transition(.error, .reconnect, .reconnecting, "the application asks to try again")
    case 17: Transition(.error, .disconnect, .disconnected, "the application puts the client to rest")
    default: nil
    }
  }

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
